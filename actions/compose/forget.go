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

// imageFile has the name of the image of a release, beside what was kept of its files.
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
	dir := filepath.Join(kept, Tag(digest))
	name, err := os.ReadFile(filepath.Join(dir, imageFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(name) > 0 {
		engine, err := docker.New("")
		if err != nil {
			return err
		}
		defer engine.Close()
		if err := engine.Untag(ctx, strings.TrimSpace(string(name))); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
