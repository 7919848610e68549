package compose

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// Files that cannot be placed, and targets that cannot be replaced, are refused with the reason.
func TestPlaceRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, words string
		breaks      func(t *testing.T, dir, release string)
	}{
		{"a pipe in the context", "a named pipe exists at this path", func(t *testing.T, dir, _ string) {
			pipe(t, filepath.Join(dir, "m.pkl"))
		}},
		{"a directory in the context", "a directory exists at this path", func(t *testing.T, dir, _ string) {
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
			if strings.Contains(c.name, "directory") && c.words != "a directory exists at this path" || strings.Contains(c.name, "out of") {
				to = "models/m.pkl"
			}
			if _, err := os.Lstat(filepath.Join(release, "model.pkl")); err != nil {
				writeFile(t, filepath.Join(release, "model.pkl"), "new")
			}
			err := placer{dir, map[string]string{"model.pkl": to}, filepath.Join(t.TempDir(), recordFile)}.place(release)
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestKeepAndPutBack(t *testing.T) {
	t.Parallel()
	dir, release, kept, former := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	p := placer{dir, map[string]string{"own": "own", "same": "same", "none": "none"}, filepath.Join(t.TempDir(), recordFile)}
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
		t.Error("a file that the release has was copied")
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
	if err := p.putBack(kept, former); err == nil || !strings.Contains(err.Error(), "was changed after its deployment") {
		t.Errorf("a changed release: %v", err)
	}
}

// A directory of a release replaces the former release's directory file by file. A rollback restores every former file.
func TestPlaceDirectory(t *testing.T) {
	t.Parallel()
	dir, kept, first, second := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	p := placer{dir, map[string]string{"weights": "models/weights"}, filepath.Join(kept, recordFile)}
	for path, text := range map[string]string{
		first + "/weights/a": "a1", first + "/weights/deep/b": "b1", first + "/other": "no",
		second + "/weights/a": "a2", second + "/weights/c": "c2", dir + "/models/weights/README": "by hand",
	} {
		writeFile(t, path, text)
	}
	is := func(what string, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				b, _ := os.ReadFile(path)
				got[strings.TrimPrefix(path, dir+"/models/weights/")] = string(b)
			} else if err == nil && path == dir+"/models/weights/deep" && want["deep/b"] == "" {
				t.Errorf("%s: the empty directory stays", what)
			}
			return err
		})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}
	byHand := map[string]string{"README": "by hand"}
	firsts := map[string]string{"README": "by hand", "a": "a1", "deep/b": "b1"}
	seconds := map[string]string{"README": "by hand", "a": "a2", "c": "c2"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.keep(kept+"/none", ""))
	for range 2 {
		must(p.place(first))
		is("first", firsts)
	}
	must(p.putBack(kept+"/none", ""))
	is("back by hand", byHand)
	must(p.place(first))
	must(p.keep(kept+"/first", first))
	if _, err := os.Stat(kept + "/first/models/weights/a"); err == nil {
		t.Error("what the release has itself was copied")
	}
	must(p.place(second))
	is("second", seconds)
	for range 2 {
		must(p.putBack(kept+"/first", first))
		is("back to the first", firsts)
	}
	must(p.place(second))
	is("second again", seconds)
	must(p.putBack(kept+"/nothing", first)) // nothing was kept
	is("the first's own", firsts)
}

// Links, devices and pipes in a directory are refused, and nothing is written.
func TestPlaceDirectoryRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, words string
		breaks      func(t *testing.T, dir, release string)
	}{
		{"a pipe in the release", "p: it is a named pipe", func(t *testing.T, _, release string) {
			pipe(t, filepath.Join(release, "w", "p"))
		}},
		{"a link in the release", "p: it is a symbolic link", func(t *testing.T, _, release string) {
			symlink(t, "/etc/passwd", filepath.Join(release, "w", "p"))
		}},
		{"a linked directory in the release", "p: it is a symbolic link", func(t *testing.T, _, release string) {
			symlink(t, "/etc", filepath.Join(release, "w", "p"))
		}},
		{"a socket in the release", "it is a socket", func(t *testing.T, _, release string) {
			l, err := net.Listen("unix", filepath.Join(release, "w", "p"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}},
		{"a link in the context", "a symbolic link exists at models/w/a", func(t *testing.T, dir, _ string) {
			if err := os.MkdirAll(filepath.Join(dir, "models", "w"), 0o755); err != nil {
				t.Fatal(err)
			}
			symlink(t, "/etc/passwd", filepath.Join(dir, "models", "w", "a"))
		}},
		{"a link in its place", "a symbolic link exists at this path", func(t *testing.T, dir, _ string) {
			symlink(t, t.TempDir(), filepath.Join(dir, "models", "w"))
		}},
		{"a link out of the context", "path escapes", func(t *testing.T, dir, _ string) {
			if err := os.Remove(filepath.Join(dir, "models")); err != nil {
				t.Fatal(err)
			}
			symlink(t, t.TempDir(), filepath.Join(dir, "models"))
		}},
		{"a file in its place", "a file exists at this path", func(t *testing.T, dir, _ string) {
			writeFile(t, filepath.Join(dir, "models", "w"), "x")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, release := t.TempDir(), t.TempDir()
			writeFile(t, filepath.Join(release, "w", "a"), "new")
			if err := os.MkdirAll(filepath.Join(dir, "models"), 0o755); err != nil {
				t.Fatal(err)
			}
			c.breaks(t, dir, release)
			p := placer{dir, map[string]string{"w": "models/w"}, filepath.Join(t.TempDir(), recordFile)}
			if err := p.place(release); err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "models", "w", "a")); err == nil && string(b) == "new" {
				t.Error("a file was placed")
			}
			link := strings.HasPrefix(c.name, "a link") && !strings.HasSuffix(c.name, "release")
			if err := p.keep(t.TempDir(), ""); link != (err != nil) {
				t.Errorf("keep: %v", err)
			}
		})
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

// On a full disk the former files stay, whichever of the new files does not fit.
func TestPlaceOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir, release, kept := t.TempDir(), t.TempDir(), t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("a small file system can be mounted by root only: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	writeFile(t, filepath.Join(dir, "a"), "old a")
	writeFile(t, filepath.Join(dir, "w", "b"), "old b")
	writeFile(t, filepath.Join(release, "a"), "new a")
	writeFile(t, filepath.Join(release, "w", "b"), strings.Repeat("b", 1<<20))
	p := placer{dir, map[string]string{"a": "a", "w": "w"}, filepath.Join(kept, recordFile)}
	if err := p.keep(filepath.Join(kept, "none"), ""); err != nil {
		t.Fatal(err)
	}
	if err := p.place(release); err == nil || !strings.Contains(err.Error(), "no space left on device") ||
		!strings.Contains(err.Error(), "w/b") {
		t.Errorf("%v", err)
	}
	if err := p.putBack(filepath.Join(kept, "none"), ""); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"a": "old a", "w/b": "old b"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
