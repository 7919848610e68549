package compose

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/durable"
)

// imageFile is the file, beside the kept files of a release, that contains the name of the release's image.
const imageFile = "image"

// note records the name of a release's image, so that the image can be removed once the release is retired.
func note(kept, digest, name string) error {
	dir := filepath.Join(kept, Tag(digest))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, imageFile), []byte(name+"\n"), 0o600)
}

// Forget removes what was kept of a release: its files, and the tag of its image, which the engine removes unless
// something else uses it. If nothing was kept, Forget does nothing.
func Forget(ctx context.Context, kept, digest string) error {
	if err := ForgetImage(ctx, kept, digest); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(kept, Tag(digest)))
}

// ForgetImage removes the tag of a release's image, but not the kept files. If no image was kept, it does nothing.
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

// KeptImage reports whether a release's image is kept. If sized is set, it also returns the size of the image; 0 if the
// engine does not report it.
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

// noted returns the recorded name of a release's image, "" for none, and the path of that record.
func noted(kept, digest string) (name, path string, err error) {
	path = filepath.Join(kept, Tag(digest), imageFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return strings.TrimSpace(string(b)), path, err
}
