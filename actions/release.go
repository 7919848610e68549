package actions

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/internal/text"
)

// Release is the manifest of a trained artifact, stored as release.json in its directory. The digest depends on the
// files only, not on the directory.
type Release struct {
	Digest  string    `json:"digest"` // "sha256:" and the hash over path and hash of each file, in order
	Model   string    `json:"model"`
	Run     string    `json:"run"`
	Created time.Time `json:"created"`
	Files   []File    `json:"files"`
	Bytes   int64     `json:"bytes"`
}

// File is one file of a release.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

const (
	manifestFile    = "release.json"
	predictionsFile = "predictions.jsonl"
	maxReleaseFiles = 10_000
)

// Seal computes a release's digest and writes its manifest. It is idempotent.
func Seal(dir, model, run string, now time.Time) (Release, error) {
	r, err := digest(dir)
	if err != nil {
		return r, err
	}
	if len(r.Files) == 0 {
		return r,
			fmt.Errorf("release directory %s is empty: the pipeline's training must write the artifact to $RETRAIND_RELEASE_DIR",
				dir)
	}
	r.Model, r.Run, r.Created = model, run, now.UTC()
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return r, err
	}
	if err := durable.WriteFile(filepath.Join(dir, manifestFile), append(b, '\n'), 0o644); err != nil {
		return r, err
	}
	return r, syncTree(dir)
}

// ReadRelease reads a sealed release and checks every file against its manifest.
func ReadRelease(dir string) (Release, error) {
	var want Release
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return want, fmt.Errorf("release %s: %w", dir, err)
	}
	if err := json.Unmarshal(b, &want); err != nil {
		return want, fmt.Errorf("release %s: %s: %w", dir, manifestFile, err)
	}
	have, err := digest(dir)
	if err != nil {
		return want, err
	}
	if have.Digest != want.Digest {
		return want,
			fmt.Errorf("release %s: its files have digest %s, its manifest says %s: the files were changed after the manifest was written",
				dir, text.Digest(have.Digest), text.Digest(want.Digest))
	}
	return want, nil
}

// digest hashes the files of a release directory. It reads them inside an os.Root, and refuses links and devices
// instead of following them.
func digest(dir string) (Release, error) {
	var r Release
	root, err := os.OpenRoot(dir)
	if err != nil {
		return r, fmt.Errorf("release: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == manifestFile {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file: a release may contain only regular files, no links", path)
		}
		if len(r.Files) == maxReleaseFiles {
			return fmt.Errorf("more than %d files", maxReleaseFiles)
		}
		f, err := hashFile(root, path)
		r.Files = append(r.Files, f)
		r.Bytes += f.Bytes
		return err
	})
	if err != nil {
		return r, fmt.Errorf("release %s: %w", dir, err)
	}
	slices.SortFunc(r.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range r.Files {
		fmt.Fprintf(h, "%s\x00%s\n", f.Path, f.SHA256)
	}
	r.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return r, nil
}

func hashFile(root *os.Root, path string) (File, error) {
	f, err := root.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return File{}, err
	}
	// A power cut after the switch of `current` must not leave incomplete files.
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrInvalid) {
		return File{}, err
	}
	return File{Path: path, SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: n}, nil
}

// CurrentLink returns the path of the link to the release to serve.
func CurrentLink(modelDir string) string { return filepath.Join(modelDir, "current") }

// current returns the directory that `current` points to, "" if there is no link.
func current(modelDir string) (string, error) {
	target, err := os.Readlink(CurrentLink(modelDir))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(modelDir, target)
	}
	return target, nil
}

// point lets `current` point to dir, atomically; with dir "" it removes the link.
func point(modelDir, dir string) error {
	now, err := current(modelDir)
	if err != nil || now == dir {
		return err
	}
	if dir == "" {
		err = os.Remove(CurrentLink(modelDir))
	} else {
		rel, relErr := filepath.Rel(modelDir, dir)
		if relErr != nil {
			return relErr
		}
		err = renameio.Symlink(rel, CurrentLink(modelDir))
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(modelDir)
}

// syncTree syncs the directories of a release, and the directory that contains it; digest has synced the files.
func syncTree(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
	return errors.Join(err, durable.SyncDir(filepath.Dir(dir)))
}
