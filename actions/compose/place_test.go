package compose

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What stands in the way is refused before anything is written, on both sides.
func TestPlaceRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, words string
		breaks      func(t *testing.T, dir, release string)
	}{
		{"a pipe in the context", "a named pipe is there", func(t *testing.T, dir, _ string) { pipe(t, filepath.Join(dir, "m.pkl")) }},
		{"a directory in the context", "a directory is there", func(t *testing.T, dir, _ string) {
			writeFile(t, filepath.Join(dir, "m.pkl", "x"), "")
		}},
		{"a link out of the context", "path escapes", func(t *testing.T, dir, _ string) {
			symlink(t, t.TempDir(), filepath.Join(dir, "models"))
		}},
		{"no directory", "there is no such directory", func(*testing.T, string, string) {}},
		{"a pipe in the release", "it is a named pipe", func(t *testing.T, _, release string) {
			pipe(t, filepath.Join(release, "model.pkl"))
		}},
		{"a link in the release", "it is a symbolic link", func(t *testing.T, _, release string) {
			symlink(t, "/etc/passwd", filepath.Join(release, "model.pkl"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, release := t.TempDir(), t.TempDir()
			c.breaks(t, dir, release)
			to := "m.pkl"
			if strings.Contains(c.name, "directory") && c.words != "a directory is there" || strings.Contains(c.name, "out of") {
				to = "models/m.pkl"
			}
			if _, err := os.Lstat(filepath.Join(release, "model.pkl")); err != nil {
				writeFile(t, filepath.Join(release, "model.pkl"), "new")
			}
			err := placer{dir, map[string]string{"model.pkl": to}}.place(release)
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestKeepAndPutBack(t *testing.T) {
	t.Parallel()
	dir, release, kept, former := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	p := placer{dir, map[string]string{"own": "own", "same": "same", "none": "none"}}
	for name := range p.names {
		writeFile(t, filepath.Join(release, name), "new "+name)
	}
	writeFile(t, filepath.Join(dir, "own"), "by hand")
	writeFile(t, filepath.Join(former, "own"), "otherwise")
	writeFile(t, filepath.Join(dir, "same"), "as released")
	writeFile(t, filepath.Join(former, "same"), "as released")
	if err := p.keep(kept, former); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(kept, "same")); err == nil {
		t.Error("what the release has itself was copied")
	}
	if err := p.place(release); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.putBack(kept, former); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"own": "by hand", "same": "as released"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that was not there is still there")
	}

	if err := p.place(release); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(former, "same"), "AS RELEASED")
	if err := p.putBack(kept, former); err == nil || !strings.Contains(err.Error(), "was changed since") {
		t.Errorf("a changed release: %v", err)
	}
}

func pipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if got := Repository("Shop_1", "api--v2"); got != "retraind/shop-1-api-v2" {
		t.Error(got)
	}
	for digest, want := range map[string]string{"": "none", "sha256:0123456789abcdef": "0123456789ab", "adopted:0b02": "0b02"} {
		if got := Tag(digest); got != want {
			t.Errorf("%s: %s", digest, got)
		}
	}
}
