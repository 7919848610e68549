package compose

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/docker"
)

// imageFile has the name of a release's image, and is stored beside the kept files.
const imageFile = "image"

// note records the name of a release's image, so that it can be removed once the release is retired.
func note(kept, digest, name string) error {
	dir := filepath.Join(kept, Tag(digest))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, imageFile), []byte(name+"\n"), 0o600)
}

// Forget removes what was kept of a release: its image is untagged, and removed unless something else uses it. A
// release of which nothing was kept is no error.
func Forget(ctx context.Context, kept, digest string) error {
	if err := ForgetImage(ctx, kept, digest); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(kept, Tag(digest)))
}

// ForgetImage untags the image of a release, and keeps its former files. A release without an image is no error.
func ForgetImage(ctx context.Context, kept, digest string) error {
	name, path, err := noted(kept, digest)
	if err != nil || name == "" {
		return err
	}
	engine, err := docker.New("")
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := engine.Untag(ctx, name); err != nil {
		return err
	}
	return os.Remove(path)
}

// KeptImage reports whether an image of a release is kept, with its size if sized is set; 0 if the engine does not
// report it.
func KeptImage(ctx context.Context, kept, digest string, sized bool) (size int64, there bool) {
	name, _, err := noted(kept, digest)
	if err != nil || name == "" {
		return 0, false
	}
	if engine, err := docker.New(""); err == nil && sized {
		defer engine.Close()
		image, _ := engine.Image(ctx, name)
		size = image.Bytes
	}
	return size, true
}

// noted returns the name of a release's image, "" for none, and the path of the file with the name.
func noted(kept, digest string) (name, path string, err error) {
	path = filepath.Join(kept, Tag(digest), imageFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return strings.TrimSpace(string(b)), path, err
}
