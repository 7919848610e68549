package systemdtest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/internal/waittest"
)

// Run runs a program as root, with sudo's PATH, and returns its output and exit status.
func (b *Box) Run(args ...string) (string, int) {
	b.t.Helper()
	out, err := b.command(nil, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	case err != nil:
		b.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return string(out), 0
}

// Must runs a program as root, which must succeed.
func (b *Box) Must(args ...string) string {
	b.t.Helper()
	return b.must(b.Run(args...))(args)
}

// As runs a program as another user, with the groups that this user has in the box.
func (b *Box) As(user string, args ...string) (string, int) {
	b.t.Helper()
	return b.Run(append(identity(user), args...)...)
}

// MustAs runs a program as another user, which must succeed.
func (b *Box) MustAs(user string, args ...string) string {
	b.t.Helper()
	return b.must(b.As(user, args...))(args)
}

func identity(user string) []string {
	return []string{"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups", "env", "HOME=/home/" + user}
}

func (b *Box) must(out string, code int) func([]string) string {
	b.t.Helper()
	return func(args []string) string {
		b.t.Helper()
		if code != 0 {
			b.t.Fatalf("%s: exit status %d\n%s", strings.Join(args, " "), code, out)
		}
		return out
	}
}

// Path returns the path of a file of the box as seen from this process.
func (b *Box) Path(name string) string { return filepath.Join("/proc", b.leader, "root", name) }

// Write writes a file in the box, owned by root if it is new, and creates its parent directories.
func (b *Box) Write(name, text string, mode fs.FileMode) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.Path(name)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.Path(name), []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(b.Path(name), mode); err != nil { // independent of the umask, and of the mode of an existing file
		b.t.Fatal(err)
	}
}

// Read returns the text of a file in the box.
func (b *Box) Read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.Path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// Property returns a property of a unit from systemctl show.
func (b *Box) Property(unit, name string) string {
	b.t.Helper()
	return strings.TrimSpace(b.Must("systemctl", "show", "--value", "-p", name, unit))
}

// Journal returns a unit's journal.
func (b *Box) Journal(unit string) string {
	b.t.Helper()
	b.Must("journalctl", "--sync")
	return b.Must("journalctl", "--no-pager", "-o", "cat", "-u", unit)
}

// Until waits until a condition is true.
func (b *Box) Until(what string, ok func() (bool, error)) {
	b.t.Helper()
	waittest.EventuallyHolds(b.t, what, ok)
}
