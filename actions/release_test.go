package actions

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var sealedAt = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// artifact returns a release directory of three files, not sealed.
func artifact(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "releases", "r1")
	writeText(t, filepath.Join(dir, "model.bin"), "weights")
	writeText(t, filepath.Join(dir, "tokens", "vocabulary.txt"), "a\nb\n")
	writeText(t, filepath.Join(dir, "empty"), "")
	return dir
}

func TestSealAndRead(t *testing.T) {
	t.Parallel()
	dir := artifact(t)
	r, err := Seal(dir, "m", "r1", sealedAt)
	if err != nil {
		t.Fatal(err)
	}
	// The expected digest: printf 'empty\0%s\nmodel.bin\0%s\ntokens/vocabulary.txt\0%s\n' … | sha256sum
	want := Release{
		Digest: "sha256:028f4f6c5c07b00ee210119a1c762ab8d0eea73f2e16a4d287da6e250d091053", Model: "m", Run: "r1",
		Created: sealedAt, Bytes: 11,
		Files: []File{
			{"empty", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0},
			{"model.bin", "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c", 7},
			{"tokens/vocabulary.txt", "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2", 4},
		},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	read, err := ReadRelease(dir)
	if diff := cmp.Diff(r, read); diff != "" || err != nil {
		t.Error(diff, err)
	}
	// Sealed again, elsewhere, by another run and later: the same digest.
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	again, err := Seal(moved, "n", "r2", sealedAt.Add(time.Hour))
	if err != nil || again.Digest != r.Digest {
		t.Errorf("sealed again it is %s, %v", again.Digest, err)
	}
}

func TestDigestSeesEveryChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(dir string) error{
		"a byte":      func(d string) error { return os.WriteFile(filepath.Join(d, "model.bin"), []byte("weighty"), 0o644) },
		"a new file":  func(d string) error { return os.WriteFile(filepath.Join(d, "more"), nil, 0o644) },
		"a lost file": func(d string) error { return os.Remove(filepath.Join(d, "empty")) },
		"a new name":  func(d string) error { return os.Rename(filepath.Join(d, "empty"), filepath.Join(d, "void")) },
		"another place": func(d string) error {
			return os.Rename(filepath.Join(d, "tokens", "vocabulary.txt"), filepath.Join(d, "vocabulary.txt"))
		},
		"a cut file": func(d string) error { return os.Truncate(filepath.Join(d, "tokens", "vocabulary.txt"), 2) },
	} {
		dir := artifact(t)
		if _, err := Seal(dir, "m", "r1", sealedAt); err != nil {
			t.Fatal(err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRelease(dir); err == nil || !strings.Contains(err.Error(), "the files were changed after the manifest was written") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Different trees have different digests: no file name may be mistaken for the content of another file.
func TestDigestTellsTreesApart(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	n := 0
	tree := rapid.MapOfN(rapid.StringMatching(`[ab]( |-|\.|:)?[ab]?`), rapid.StringMatching(`[ab\n:]{0,3}`), 1, 4)
	rapid.Check(t, func(rt *rapid.T) {
		digests := [2]string{}
		trees := [2]map[string]string{tree.Draw(rt, "one"), tree.Draw(rt, "two")}
		for i, files := range trees {
			n++
			dir := filepath.Join(root, "t"+string(rune('0'+i))+sealedAt.Add(time.Duration(n)).Format("150405.000000000"))
			for name, text := range files {
				writeText(t, filepath.Join(dir, name), text)
			}
			r, err := digest(dir)
			if err != nil {
				rt.Fatal(err)
			}
			digests[i] = r.Digest
		}
		if same := cmp.Equal(trees[0], trees[1]); same != (digests[0] == digests[1]) {
			rt.Fatalf("equal trees: %v, digests %v", same, digests)
		}
	})
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"a link out of it": {
			func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "link")) },
			"link is not a regular file: a release may contain only regular files, no links",
		},
		"a link inside": {
			func(d string) error { return os.Symlink("model.bin", filepath.Join(d, "link")) },
			"link is not a regular file",
		},
		"a dangling link": {
			func(d string) error { return os.Symlink("nowhere", filepath.Join(d, "link")) },
			"link is not a regular file",
		},
		"a linked directory": {
			func(d string) error { return os.Symlink("/etc", filepath.Join(d, "link")) },
			"link is not a regular file",
		},
		"a FIFO": {
			func(d string) error { return syscall.Mkfifo(filepath.Join(d, "pipe"), 0o600) },
			"pipe is not a regular file",
		},
		"a socket": {func(d string) error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer syscall.Close(fd)
			here, err := os.Getwd()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(here, filepath.Join(d, "s")) // a socket's path must be short
			if err != nil {
				return err
			}
			return syscall.Bind(fd, &syscall.SockaddrUnix{Name: rel})
		}, "s is not a regular file"},
		"nothing":      {func(d string) error { return os.RemoveAll(d) }, "no such file or directory"},
		"an empty one": {func(d string) error { return os.RemoveAll(filepath.Join(d)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := artifact(t)
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == "" {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				want = "is empty: the pipeline's training must write the artifact to $RETRAIND_RELEASE_DIR"
			}
			if _, err := Seal(dir, "m", "r1", sealedAt); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if exists(filepath.Join(dir, manifestFile)) {
				t.Error("it was sealed all the same")
			}
		})
	}
}

func TestDeviceIsRefused(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("root alone may make a device")
	}
	dir := artifact(t)
	if err := syscall.Mknod(filepath.Join(dir, "zero"), syscall.S_IFCHR|0o600, 1<<8|5); err != nil {
		t.Skip("this container may not make a device: ", err)
	}
	if _, err := Seal(dir, "m", "r1", sealedAt); err == nil ||
		!strings.Contains(err.Error(), "zero is not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestReadRefusesWhatWasNeverSealed(t *testing.T) {
	t.Parallel()
	dir := artifact(t)
	if _, err := ReadRelease(dir); err == nil || !strings.Contains(err.Error(), "release "+dir) ||
		!strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	writeText(t, filepath.Join(dir, manifestFile), "{")
	if _, err := ReadRelease(dir); err == nil ||
		!strings.Contains(err.Error(), "release.json: unexpected end of JSON input") {
		t.Errorf("got %v", err)
	}
}

func TestPoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release := func(name string) string {
		path := filepath.Join(dir, "releases", name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := release("one"), release("two")
	at := func(want string) {
		t.Helper()
		if got, err := current(dir); got != want || err != nil {
			t.Errorf("current is %q, %v; want %q", got, err, want)
		}
	}
	at("")
	for _, to := range []string{"", one, one, two, one, "", "", two} { // including links that are there already
		if err := point(dir, to); err != nil {
			t.Fatal(err)
		}
		at(to)
	}
	if link, err := os.Readlink(CurrentLink(dir)); link != filepath.Join("releases", "two") || err != nil {
		t.Errorf("the link is %q, %v: it must hold when the state directory moves", link, err)
	}
	// An absolute link, as created by hand, is accepted.
	if err := os.Remove(CurrentLink(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(one, CurrentLink(dir)); err != nil {
		t.Fatal(err)
	}
	at(one)
	if err := point(dir, one); err != nil {
		t.Error(err)
	}
	// A directory in place of the link is not deleted.
	if err := os.Remove(CurrentLink(dir)); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(CurrentLink(dir), "mine"), "x")
	if err := point(dir, two); err == nil {
		t.Error("a directory in the link's place was replaced")
	}
	if !exists(filepath.Join(CurrentLink(dir), "mine")) {
		t.Error("its content is gone")
	}
}

// A service that reads `current` during a switch always finds a complete release.
func TestPointIsAtomic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var releases []string
	for _, name := range []string{"one", "two"} {
		path := filepath.Join(dir, "releases", name)
		writeText(t, filepath.Join(path, "name"), name)
		releases = append(releases, path)
	}
	if err := point(dir, releases[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	reads := make(chan int)
	go func() {
		n := 0
		defer func() { reads <- n }()
		for {
			select {
			case <-done:
				return
			default:
			}
			if b, err := os.ReadFile(filepath.Join(CurrentLink(dir), "name")); err != nil || len(b) != 3 {
				t.Errorf("read %q, %v", b, err)
				return
			}
			n++
		}
	}()
	for i := range 100 {
		if err := point(dir, releases[i%2]); err != nil {
			t.Error(err)
		}
	}
	close(done)
	if n := <-reads; n == 0 {
		t.Error("nothing was read meanwhile")
	}
}
