package systemd

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed files
var shipped embed.FS

// Where the shipped files expect the program and its state.
const (
	Binary = "/usr/local/bin/retraind"
	State  = "/var/lib/retraind"
)

// File is one file that belongs to the installed service.
type File struct {
	Name string      // e.g. "retraind.service"
	Path string      // where it belongs on a system
	Text string      // its content
	Mode fs.FileMode // always 0644: none of them is secret or a program
}

// places says where each file belongs; units go to the administrator's directory.
var places = map[string]string{
	"retraind.sysusers": "/usr/lib/sysusers.d/retraind.conf",
	"retraind.tmpfiles": "/usr/lib/tmpfiles.d/retraind.conf",
}

// Files returns the shipped files, made for a program and a state directory at the given absolute paths, and after them
// those that give the rights which a configuration needs.
func Files(binary, state string, needs Needs) ([]File, error) {
	for _, p := range []string{binary, state} {
		if err := unitPath(p); err != nil {
			return nil, err
		}
	}
	entries, err := shipped.ReadDir("files")
	if err != nil {
		return nil, fmt.Errorf("unit files: %w", err)
	}
	replaced := strings.NewReplacer(append(elsewhere(state), Binary, binary)...)
	files := make([]File, 0, len(entries))
	for _, entry := range entries {
		text, err := shipped.ReadFile("files/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("unit files: %w", err)
		}
		place, ok := places[entry.Name()]
		if !ok {
			place = "/etc/systemd/system/" + entry.Name()
		}
		files = append(files, File{Name: entry.Name(), Path: place, Text: replaced.Replace(string(text)), Mode: 0o644})
	}
	made, err := needs.generated(binary)
	if err != nil {
		return nil, err
	}
	return append(files, made...), nil
}

// elsewhere is what changes where the state is not at systemd's place for it, as pairs of old and new.
func elsewhere(state string) []string {
	if state == State {
		return nil
	}
	pairs := []string{"StateDirectory=retraind\nStateDirectoryMode=0700\n", "ReadWritePaths=" + state + "\n", State, state}
	for _, home := range []string{"/home/", "/root/", "/run/user/"} {
		if strings.HasPrefix(state, home) {
			pairs = append(pairs, "ProtectHome=yes", "ProtectHome=read-only") // the classifier reads its model there
		}
	}
	return pairs
}
