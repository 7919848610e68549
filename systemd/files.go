package systemd

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed files
var shipped embed.FS

// The paths of the program and its state in the shipped files.
const (
	Binary = "/usr/local/bin/retraind"
	State  = "/var/lib/retraind"
)

// File is one file that belongs to the installed service.
type File struct {
	Name string      // e.g. "retraind.service"
	Path string      // path on a system
	Text string      // its content
	Mode fs.FileMode // always 0644: none of them is secret or a program
}

// places has the paths of the files that are no units. Units go to the administrator's directory, /etc/systemd/system.
var places = map[string]string{
	"retraind.sysusers": "/usr/lib/sysusers.d/retraind.conf",
	"retraind.tmpfiles": "/usr/lib/tmpfiles.d/retraind.conf",
}

// Files returns the shipped files, with the given absolute paths of the program and the state directory. After them it
// returns the files that grant the rights which a configuration needs.
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

// elsewhere returns the replacements for a state directory that is not systemd's default, as pairs of old and new.
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
