package actions

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// collected is one file that a command wrote, with its name in the release.
type collected struct {
	path, name string
	info       fs.FileInfo
}

// collect copies files that a command wrote below dir into the release. files maps their paths to names; a directory
// stands for every file in it. Only regular files that were written since the run was created are taken: one from before
// would make a training that wrote nothing look like one that did. Entered again it copies them again.
func collect(dir, release string, files map[string]string, since time.Time) (string, error) {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer from.Close()
	if err := os.MkdirAll(release, 0o755); err != nil {
		return "", err
	}
	to, err := os.OpenRoot(release)
	if err != nil {
		return "", err
	}
	defer to.Close()
	var found []collected
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if found, err = look(from, found, filepath.Clean(p), filepath.Clean(files[p]), since); err != nil {
			return "", fmt.Errorf("collect %s: %w", filepath.Join(dir, p), err)
		}
	}
	var size int64
	for _, f := range found {
		size += f.info.Size()
	}
	if free, err := freeSpace(release); err == nil && size > free {
		return "", fmt.Errorf("collect: the files take %s, and %s has %s left", unit.Size(size), release, unit.Size(free))
	}
	for _, f := range found {
		if err := f.copy(from, to); err != nil {
			return "", fmt.Errorf("collect %s: %w", filepath.Join(dir, f.path), err)
		}
	}
	return fmt.Sprintf("%s collected, %s", text.Plural(len(found), "file"), unit.Size(size)), nil
}

// look adds a file, or those of a directory, to what is copied.
func look(from *os.Root, found []collected, at, name string, since time.Time) ([]collected, error) {
	info, err := from.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("the command left no such file; correct collect, or the path that the command writes to")
	case err != nil:
		return nil, err
	case !info.IsDir():
		return addCollected(found, collected{at, name, info}, since)
	}
	before := len(found)
	err = fs.WalkDir(from.FS(), filepath.ToSlash(at), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := from.Lstat(p)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(at, p)
		if err != nil {
			return err
		}
		if found, err = addCollected(found, collected{p, filepath.Join(name, below), info}, since); err != nil {
			return fmt.Errorf("%s: %w", below, err)
		}
		return nil
	})
	if err == nil && len(found) == before {
		err = errors.New("the command left no file in this directory")
	}
	return found, err
}

func addCollected(found []collected, f collected, since time.Time) ([]collected, error) {
	switch {
	case !f.info.Mode().IsRegular():
		return nil, fmt.Errorf("it is %s: a release holds regular files of its own; let the command write the file itself",
			kindOf(f.info.Mode()))
	case written(f.info).Before(since.Add(-clockSlack)):
		return nil, fmt.Errorf("it was written at %s, before this run began: the command did not write it",
			written(f.info).UTC().Format(time.RFC3339))
	case len(found) == maxReleaseFiles:
		return nil, fmt.Errorf("more than %d files: name those that the service needs", maxReleaseFiles)
	}
	return append(found, f), nil
}

// clockSlack is how much earlier than the run a file may look: file systems keep coarser clocks.
const clockSlack = 2 * time.Second

// written is when a file's content or place changed last. A copy that keeps the time of its original has a new one.
func written(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return info.ModTime()
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m.IsDir():
		return "a directory"
	}
	return "no regular file"
}

// copy copies the file, which must still be the one that was looked at.
func (f collected) copy(from, to *os.Root) error {
	in, err := openRegular(from, f.path, f.info)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := to.MkdirAll(filepath.Dir(f.name), 0o755); err != nil {
		return err
	}
	return writeInto(to, f.name, 0o644, in)
}

// openRegular opens a file below a root, without waiting for the writer of a pipe that came into its place.
func openRegular(root *os.Root, at string, want fs.FileInfo) (*os.File, error) {
	in, err := root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	have, err := in.Stat()
	if err == nil && !os.SameFile(have, want) {
		err = errors.New("it was exchanged while it was read")
	}
	if err != nil {
		return nil, cmp.Or(err, in.Close())
	}
	return in, nil
}

// writeInto writes a file below a root, durably and whole or not at all.
func writeInto(root *os.Root, name string, mode fs.FileMode, from io.Reader) error {
	part := filepath.Join(filepath.Dir(name), ".retraind-"+filepath.Base(name)+".part")
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(part))
	}
	return nil
}

// freeSpace is how many bytes a directory's file system has left for this user.
func freeSpace(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// validateCollect finds faults of collect.
func validateCollect(p *check.Problems, here string, files map[string]string) {
	taken := map[string]string{}
	for _, from := range slices.Sorted(maps.Keys(files)) {
		name, at := files[from], here+"."+from
		if !filepath.IsLocal(from) || filepath.Clean(from) == "." {
			p.Errorf(at, "write a path below the directory of the command, and set dir where it writes elsewhere",
				"%q is no path below the directory of the command", from)
		}
		switch clean := path.Clean(name); {
		case !filepath.IsLocal(name) || clean == ".":
			p.Errorf(at, "write a name such as model.gguf", "%q cannot name a file of a release", name)
		case clean == manifestFile:
			p.Errorf(at, "choose another name", "%s is the release's own manifest", manifestFile)
		case taken[clean] != "":
			p.Errorf(at, "choose another name", "%s and %s would both become %s", taken[clean], from, clean)
		default:
			taken[clean] = from
		}
	}
}
