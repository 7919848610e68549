package systemd

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
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

// Files returns the shipped files, made for a program and a state directory at the given absolute paths.
func Files(binary, state string) ([]File, error) {
	for what, p := range map[string]string{"program": binary, "state directory": state} {
		if !path.IsAbs(p) || strings.ContainsAny(p, " \t\n%\"'\\") {
			return nil, fmt.Errorf("unit files: %s %q: want an absolute path without blanks, quotes and percent signs", what, p)
		}
	}
	entries, err := shipped.ReadDir("files")
	if err != nil {
		return nil, fmt.Errorf("unit files: %w", err)
	}
	made := strings.NewReplacer(append(elsewhere(state), Binary, binary)...)
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
		files = append(files, File{Name: entry.Name(), Path: place, Text: made.Replace(string(text)), Mode: 0o644})
	}
	return files, nil
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
