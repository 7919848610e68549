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

// Binary is where the shipped files expect the program.
const Binary = "/usr/local/bin/retraind"

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

// Files returns the shipped files, made for a program at the given absolute path.
func Files(binary string) ([]File, error) {
	if !path.IsAbs(binary) || strings.ContainsAny(binary, " \t\n%\"'\\") {
		return nil, fmt.Errorf("unit files: program path %q: want an absolute path without blanks, quotes and percent signs", binary)
	}
	entries, err := shipped.ReadDir("files")
	if err != nil {
		return nil, fmt.Errorf("unit files: %w", err)
	}
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
		files = append(files, File{Name: entry.Name(), Path: place, Text: strings.ReplaceAll(string(text), Binary, binary), Mode: 0o644})
	}
	return files, nil
}
