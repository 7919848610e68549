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

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/unit"
)

// placer places files of a release into a directory, and restores the former ones.
type placer struct {
	dir   string            // where they are placed
	names map[string]string // path below dir by the name in the release
}

// keptFile lists the kept former files by path: "copied", "absent", or the hash of the same file in the release.
const keptFile = "kept.json"

const (
	copied = "copied"
	absent = "absent"
)

// Keep copies the files that a deployment will replace, before a run changes anything: a training may write to the
// same paths. former is the directory of the deployed release, "" if it has none.
func (s Service) Keep(kept, digest, former string) error {
	return placer{s.Dir, s.Place}.keep(filepath.Join(kept, Tag(digest)), former)
}

// PutBack restores what was kept of a release.
func (s Service) PutBack(kept, digest, former string) error {
	return placer{s.Dir, s.Place}.putBack(filepath.Join(kept, Tag(digest)), former)
}

// keep copies the present files of the directory to another one. For files of the former release only the hash is
// recorded; former is its directory, "" if it has none.
func (p placer) keep(to, former string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return p.between(p.dir, to, func(dir, kept *os.Root) error {
		list := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(p.names)) {
			at := filepath.Clean(p.names[name])
			info, err := regular(dir, at)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				list[at] = absent
				continue
			case err != nil:
				return fmt.Errorf("keep %s: %w", filepath.Join(p.dir, at), err)
			}
			if hash, same := sameAs(dir, at, info, former, name); same {
				list[at] = hash
				continue
			}
			if err := copyFile(dir, at, kept, at, to); err != nil {
				return fmt.Errorf("keep %s: %w", filepath.Join(p.dir, at), err)
			}
			list[at] = copied
		}
		b, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return err
		}
		return renameio.WriteFile(filepath.Join(to, keptFile), append(b, '\n'), 0o600)
	})
}

// sameAs reports whether a file is that of a release, with its hash.
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

// place replaces the files by those of a release, each atomically.
func (p placer) place(release string) error {
	return p.between(release, p.dir, func(from, dir *os.Root) error {
		for _, name := range slices.Sorted(maps.Keys(p.names)) {
			at := filepath.Clean(p.names[name])
			if err := replaceable(dir, at); err != nil {
				return fmt.Errorf("place %s as %s: %w", name, filepath.Join(p.dir, at), err)
			}
			if err := copyFile(from, filepath.Clean(name), dir, at, p.dir); err != nil {
				return fmt.Errorf("place %s as %s: %w", name, filepath.Join(p.dir, at), err)
			}
		}
		return nil
	})
}

// putBack restores what was kept; former is the directory of the release that has the rest, "" for none. If nothing
// was kept, because that release was never replaced, its own files are placed.
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
		return fmt.Errorf("put the former files back: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.names)) {
		at := filepath.Clean(p.names[name])
		what := filepath.Join(p.dir, at)
		switch hash := list[at]; hash {
		case absent:
			err = p.between(p.dir, p.dir, func(dir, _ *os.Root) error {
				if err := dir.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			})
		case copied:
			err = p.between(kept, p.dir, func(from, dir *os.Root) error { return copyFile(from, at, dir, at, p.dir) })
		case "":
			err = errors.New("it was not kept: place it by hand")
		default:
			err = p.between(former, p.dir, func(from, dir *os.Root) error {
				if info, err := regular(from, name); err != nil {
					return err
				} else if have, err := files.HashAt(from, name, info); err != nil || have != hash {
					return errors.Join(err, fmt.Errorf("%s of the former release was changed since", name))
				}
				return copyFile(from, name, dir, at, p.dir)
			})
		}
		if err != nil {
			return fmt.Errorf("put %s back: %w", what, err)
		}
	}
	return nil
}

// between opens two directories as roots.
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
		err = fmt.Errorf("it is %s: only regular files are placed", files.KindOf(info.Mode()))
	}
	return info, err
}

// replaceable returns why a path cannot be replaced by a file.
func replaceable(dir *os.Root, at string) error {
	switch info, err := dir.Lstat(at); {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := dir.Stat(filepath.Dir(at)); errors.Is(err, fs.ErrNotExist) {
			return errors.New("there is no such directory: create it, or correct the path")
		}
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is there: remove it, or place the file elsewhere", files.KindOf(info.Mode()))
	}
	return nil
}

// copyFile copies a regular file below a root to another one, unless it is there already.
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
		return fmt.Errorf("it takes %s, and %s has %s left: no space left on device", unit.Size(info.Size()), toDir,
			unit.Size(free))
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
