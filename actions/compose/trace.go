package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/durable"
)

// trace records the service's state before the run changed anything, and how far the run has changed it. It is stored
// in the run's directory, since all attempts of the run's steps need it.
type trace struct {
	path string

	Since  time.Time `json:"since"`
	Former instance  `json:"former,omitzero"` // zero if there was no container
	// Built is the id of the candidate's image, set after the build.
	Built string `json:"built,omitempty"`
	// Kept means that the former image is tagged with its release. Placing means that the replacement of files has begun.
	Kept    bool `json:"kept,omitempty"`
	Placing bool `json:"placing,omitempty"`
	// Exchanging means that the replacement of the container has begun.
	Exchanging bool `json:"exchanging,omitempty"`
	// Back is the container at the start of the rollback; Returning means that its replacement has begun.
	Back      *instance `json:"back,omitempty"`
	Returning bool      `json:"returning,omitempty"`
}

// instance identifies one container of the service.
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

// readTrace reads a run's trace; it reports false if there is none.
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

// mark changes the trace and writes it durably.
func (t *trace) mark(change func(*trace)) error {
	change(t)
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(t.path, append(b, '\n'), 0o600)
}
