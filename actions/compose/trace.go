package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/docker"
)

// trace is what a run found before it changed anything, and how far it went. Each mark is written before the change that
// it records. It lies beside the run, since all attempts of its steps need it.
type trace struct {
	path string

	Since  time.Time `json:"since"`
	Former instance  `json:"former,omitzero"` // zero where no container was there
	// Built is the id of the candidate's image, once it is built.
	Built string `json:"built,omitempty"`
	// Kept: the image that serves has the name of its release. Placing: files are being replaced.
	Kept    bool `json:"kept,omitempty"`
	Placing bool `json:"placing,omitempty"`
	// Exchanging: the container is being exchanged.
	Exchanging bool `json:"exchanging,omitempty"`
	// Back is what was there when taking back began; Returning: that container is being exchanged.
	Back      *instance `json:"back,omitempty"`
	Returning bool      `json:"returning,omitempty"`
}

// instance is one container of the service, by what does not change.
type instance struct {
	Container string `json:"container,omitempty"`
	Image     string `json:"image,omitempty"`
	Running   bool   `json:"running,omitempty"`
}

func instanceOf(c *docker.Container) instance {
	if c == nil {
		return instance{}
	}
	return instance{c.ID, c.Image, c.Running()}
}

// readTrace reads a run's trace; it reports false where there is none.
func readTrace(path string) (*trace, bool, error) {
	t := &trace{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, t)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	return t, true, nil
}

// mark changes the trace and makes it durable.
func (t *trace) mark(change func(*trace)) error {
	change(t)
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(t.path, append(b, '\n'), 0o600)
}
