package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/internal/text"
)

// placer places files and directories of a release into a directory, and restores the former ones.
type placer struct {
	dir    string            // target directory
	names  map[string]string // paths below dir, by name in the release
	record string            // file that lists the files placed below directories; see record.go
}

// keptFile records the former state of each path: "copied", "absent", "directory", or a hash. A hash means that the
// file equals the one in the release's directory, and was not copied.
const keptFile = "kept.json"

const (
	copied    = "copied"
	absent    = "absent"
	directory = "directory" // its files are listed separately
)

func (s Service) placer(kept string) placer {
	return placer{s.Dir, s.Place, filepath.Join(kept, recordFile)}
}

// Keep copies the files that a deployment will replace. Call it before the run changes anything, because a training may
// write to the same paths. former is the directory of the deployed release, "" if it has none.
func (s Service) Keep(kept, digest, former string) error {
	return s.placer(kept).keep(filepath.Join(kept, Tag(digest)), former)
}

// PutBack restores the files that Keep kept of a release.
func (s Service) PutBack(kept, digest, former string) error {
	return s.placer(kept).putBack(filepath.Join(kept, Tag(digest)), former)
}

// keep copies the present files into a directory. Of a file that equals the former release's it records only the hash.
// former is the directory of that release, "" if it has none.
func (p placer) keep(to, former string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return p.between(p.dir, to, func(dir, kept *os.Root) error {
		list := map[string]string{}
		one := func(name, at string, info fs.FileInfo) error {
			if hash, same := sameAs(dir, at, info, former, name); same {
				list[at] = hash
				return nil
			}
			list[at] = copied
			return copyFile(dir, at, kept, at, to)
		}
		for _, name := range slices.Sorted(maps.Keys(p.names)) {
			at := filepath.Clean(p.names[name])
			info, err := dir.Lstat(at)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				list[at] = absent
				continue
			case err == nil && info.IsDir():
				list[at] = directory
				err = below(dir, at, func(rel string, info fs.FileInfo) error {
					return one(filepath.Join(name, rel), filepath.Join(at, rel), info)
				})
			case err == nil:
				if info, err = regular(dir, at); err == nil {
					err = one(name, at, info)
				}
			}
			if err != nil {
				return fmt.Errorf("keep %s: %w", filepath.Join(p.dir, at), err)
			}
		}
		b, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return err
		}
		if err := p.keepRecord(to); err != nil {
			return err
		}
		return durable.WriteFile(filepath.Join(to, keptFile), append(b, '\n'), 0o600)
	})
}

// sameAs reports whether a file equals the one called name in a release, and returns its hash.
func sameAs(dir *os.Root, at string, info fs.FileInfo, release, name string) (string, bool) {
	if release == "" {
		return "", false
	}
	root, err := os.OpenRoot(release)
	if err != nil {
		return "", false
	}
	defer root.Close()
	theirs, err := regular(root, name)
	if err != nil || theirs.Size() != info.Size() {
		return "", false
	}
	a, errA := files.HashAt(dir, at, info)
	b, errB := files.HashAt(root, name, theirs)
	return a, errA == nil && errB == nil && a == b
}

// place copies the files of a release to their target paths, each atomically. Below a placed directory it removes the
// files of earlier releases that this release does not have; files that retraind never placed stay.
func (p placer) place(release string) error {
	return p.between(release, p.dir, func(from, dir *os.Root) error {
		pairs, err := p.pairs(from, dir)
		if err != nil {
			return err
		}
		return p.recorded(dir, pairs, func() error {
			for _, pair := range pairs {
				if err := copyFile(from, pair.name, dir, pair.at, p.dir); err != nil {
					return fmt.Errorf("place %s as %s: %w", pair.name, filepath.Join(p.dir, pair.at), err)
				}
			}
			return nil
		})
	})
}

// pair is one file of a release with its target path.
type pair struct {
	name, at string
	inside   bool // it is below a placed directory
}

// pairs lists the files of a release to place. It returns an error if a target cannot be replaced.
func (p placer) pairs(from, dir *os.Root) (out []pair, err error) {
	for _, name := range slices.Sorted(maps.Keys(p.names)) {
		at := filepath.Clean(p.names[name])
		name := filepath.Clean(name)
		info, err := from.Lstat(name)
		if err == nil && info.IsDir() {
			err = replaceable(dir, at, true)
			if err == nil {
				err = below(from, name, func(rel string, _ fs.FileInfo) error {
					to := filepath.Join(at, rel)
					out = append(out, pair{filepath.Join(name, rel), to, true})
					if info, err := dir.Lstat(to); err == nil && !info.Mode().IsRegular() {
						return fmt.Errorf("%s exists at %s: remove it", files.KindOf(info.Mode()), to)
					}
					return nil
				})
			}
		} else if err == nil {
			err = replaceable(dir, at, false)
			out = append(out, pair{name, at, false})
		}
		if err != nil {
			return nil, fmt.Errorf("place %s as %s: %w", name, filepath.Join(p.dir, at), err)
		}
	}
	return out, nil
}

// putBack restores the kept files. Files of which only the hash was kept come from former, the directory of the former
// release, "" if it has none. If nothing was kept, because that release was never replaced, putBack places the files of
// that release.
func (p placer) putBack(kept, former string) error {
	list := map[string]string{}
	b, err := os.ReadFile(filepath.Join(kept, keptFile))
	if errors.Is(err, fs.ErrNotExist) && former != "" {
		return p.place(former)
	}
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return fmt.Errorf("restore the former files: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.names)) {
		at := filepath.Clean(p.names[name])
		err := p.restore(list[at], at, filepath.Clean(name), kept, former)
		if list[at] == directory {
			err = p.restoreBelow(list, at, filepath.Clean(name), kept, former)
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", filepath.Join(p.dir, at), err)
		}
	}
	return p.forgetOthers(kept, list)
}

// restore restores one path to its former state.
func (p placer) restore(was, at, name, kept, former string) error {
	switch was {
	case directory:
		return nil
	case absent:
		return p.between(p.dir, p.dir, func(dir, _ *os.Root) error {
			if info, err := dir.Lstat(at); err == nil && info.IsDir() {
				return nil // forgetOthers removes it with the files placed in it
			}
			if err := dir.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		})
	case copied:
		return p.between(kept, p.dir, func(from, dir *os.Root) error { return copyFile(from, at, dir, at, p.dir) })
	case "":
		return errors.New("no copy of the former file was kept: place it by hand")
	}
	return p.between(former, p.dir, func(from, dir *os.Root) error {
		if info, err := regular(from, name); err != nil {
			return err
		} else if have, err := files.HashAt(from, name, info); err != nil || have != was {
			return errors.Join(err, fmt.Errorf("%s of the former release was changed after its deployment", name))
		}
		return copyFile(from, name, dir, at, p.dir)
	})
}

// restoreBelow restores the files of a directory.
func (p placer) restoreBelow(list map[string]string, at, name, kept, former string) error {
	for _, path := range slices.Sorted(maps.Keys(list)) {
		rel, inside := strings.CutPrefix(path, at+"/")
		if !inside {
			continue
		}
		if err := p.restore(list[path], path, filepath.Join(name, rel), kept, former); err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
	}
	return nil
}

// between opens two directories as roots and calls the function do with them.
func (p placer) between(a, b string, do func(a, b *os.Root) error) error {
	from, err := os.OpenRoot(a)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenRoot(b)
	if err != nil {
		return err
	}
	defer to.Close()
	return do(from, to)
}

// regular stats a file, which must be a regular one.
func regular(root *os.Root, at string) (fs.FileInfo, error) {
	info, err := root.Lstat(at)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is %s, but only regular files can be placed", files.KindOf(info.Mode()))
	}
	return info, err
}

// below calls the function do for each file of a directory, in order, with its path below the directory. Anything other
// than files and directories is an error.
func below(root *os.Root, at string, do func(rel string, info fs.FileInfo) error) error {
	n := 0
	return fs.WalkDir(root.FS(), filepath.ToSlash(at), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(at, path)
		if err != nil {
			return err
		}
		info, err := regular(root, path)
		if err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
		if n++; n > maxFiles {
			return fmt.Errorf("more than %d files: name a smaller directory", maxFiles)
		}
		return do(rel, info)
	})
}

// maxFiles limits the number of files in one directory; the limit equals that of a release.
const maxFiles = 10_000

// replaceable returns an error if a file (with isDir a directory) cannot be placed at a path.
func replaceable(dir *os.Root, at string, isDir bool) error {
	info, err := dir.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := dir.Stat(filepath.Dir(at)); errors.Is(err, fs.ErrNotExist) {
			return errors.New("there is no such directory: create it, or correct the path")
		}
		return nil
	case err != nil:
		return err
	case isDir && info.Mode().IsRegular():
		return errors.New("a file exists at this path: remove it, or place the directory elsewhere")
	case info.IsDir() == isDir && (isDir || info.Mode().IsRegular()):
		return nil
	}
	return fmt.Errorf("%s exists at this path: remove it, or place the file elsewhere", files.KindOf(info.Mode()))
}

// copyFile copies a regular file from one root to another, unless the target already has the same content.
func copyFile(from *os.Root, name string, to *os.Root, at, toDir string) error {
	info, err := regular(from, name)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if there, err := to.Lstat(at); err == nil && there.Mode().IsRegular() {
		mode = there.Mode().Perm()
		if there.Size() == info.Size() {
			a, errA := files.HashAt(from, name, info)
			b, errB := files.HashAt(to, at, there)
			if errA == nil && errB == nil && a == b {
				return nil
			}
		}
	}
	if free, err := files.FreeSpace(toDir); err == nil && info.Size() > free {
		return fmt.Errorf("the file needs %s, but %s has only %s free: no space left on device", text.Bytes(info.Size()), toDir,
			text.Bytes(free))
	}
	in, err := files.OpenRegular(from, name, info)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := to.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return files.WriteInto(to, at, mode, in)
}
