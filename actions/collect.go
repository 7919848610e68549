package actions

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
)

// collected is one file that a command wrote, with its name in the release.
type collected struct {
	path, name string
	info       fs.FileInfo
}

// collect copies files that a command wrote below dir into the release. names maps their paths below dir to their names
// in the release; a directory means every file in it. It refuses files that are not regular, and files written before
// the run was created: with old files, a training that wrote nothing would appear to have succeeded. Calling it again
// copies the files again.
func collect(dir, release string, names map[string]string, since time.Time) (string, error) {
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
	for _, p := range slices.Sorted(maps.Keys(names)) {
		if found, err = look(from, found, filepath.Clean(p), filepath.Clean(names[p]), since); err != nil {
			return "", fmt.Errorf("collect %s: %w", filepath.Join(dir, p), err)
		}
	}
	var size int64
	for _, f := range found {
		size += f.info.Size()
	}
	if free, err := files.FreeSpace(release); err == nil && size > free {
		return "", fmt.Errorf("collect: the files need %s, but %s has only %s free: %w", text.Bytes(size), release,
			text.Bytes(free), syscall.ENOSPC)
	}
	for _, f := range found {
		if err := f.copy(from, to); err != nil {
			return "", fmt.Errorf("collect %s: %w", filepath.Join(dir, f.path), err)
		}
	}
	return fmt.Sprintf("%s collected, %s", text.Plural(len(found), "file"), text.Bytes(size)), nil
}

// look adds a file, or all files below a directory, to the list of files to copy.
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
		return nil, fmt.Errorf("it is %s, but a release may contain only regular files; let the command write a regular file there",
			files.KindOf(f.info.Mode()))
	case written(f.info).Before(since.Add(-clockSlack)):
		return nil, fmt.Errorf("it was written at %s, before this run began: the command did not write it",
			written(f.info).UTC().Format(time.RFC3339))
	case len(found) == maxReleaseFiles:
		return nil, fmt.Errorf("more than %d files: name those that the service needs", maxReleaseFiles)
	}
	return append(found, f), nil
}

// clockSlack is how much older than the run a file may appear, because file systems store times less precisely.
const clockSlack = 2 * time.Second

// written returns when a file's content, name or attributes last changed. For a copy that is the time of copying, even
// if the copy keeps its original's modification time.
func written(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return info.ModTime()
}

// copy copies the file if it is still the one that was listed.
func (f collected) copy(from, to *os.Root) error {
	in, err := files.OpenRegular(from, f.path, f.info)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := to.MkdirAll(filepath.Dir(f.name), 0o755); err != nil {
		return err
	}
	return files.WriteInto(to, f.name, 0o644, in)
}

// validateCollect checks the key collect.
func validateCollect(p *check.Problems, here string, files map[string]string) {
	taken := map[string]string{}
	for _, from := range slices.Sorted(maps.Keys(files)) {
		name, at := files[from], here+"."+from
		if !filepath.IsLocal(from) || filepath.Clean(from) == "." {
			p.Errorf(at, "write a path below the directory of the command; if the command writes elsewhere, set dir",
				"%q is not a path below the directory of the command", from)
		}
		switch clean := path.Clean(name); {
		case !filepath.IsLocal(name) || clean == ".":
			p.Errorf(at, "write a name such as model.gguf", "%q cannot name a file of a release", name)
		case clean == manifestFile:
			p.Errorf(at, "choose another name", "the release's manifest has the name %s", manifestFile)
		case taken[clean] != "":
			p.Errorf(at, "choose another name", "%s and %s would both become %s", taken[clean], from, clean)
		default:
			taken[clean] = from
		}
	}
}
