package ollamatags

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/google/renameio/v2"
)

// State is what is known of the names that were made for one model, kept in a file beside its releases.
type State struct {
	Names map[string]Entry `json:"names"` // by name with its tag
	// GPU: what served was once wholly on the GPU, so that anything less is a fault.
	GPU bool `json:"gpu,omitempty"`
}

// Entry is one name of the model's own.
type Entry struct {
	Release string    `json:"release,omitempty"` // digest; "" for what served before the first release
	Digest  string    `json:"digest"`            // of the manifest that the name stands for
	Made    time.Time `json:"made"`
}

// readState reads the file; a missing one is an empty state.
func readState(path string) (State, error) {
	s := State{Names: map[string]Entry{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("the record of names on the Ollama server: %s: %w", path, err)
	}
	if s.Names == nil {
		s.Names = map[string]Entry{}
	}
	return s, nil
}

func (s State) write(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(b, '\n'), 0o600)
}

// of is the name of a release, the newest one; "" where there is none.
func (s State) of(release string) (name string) {
	for n, e := range s.Names {
		if e.Release == release && release != "" && (name == "" || e.Made.After(s.Names[name].Made)) {
			name = n
		}
	}
	return name
}

// nameOf is a name of the model's own that stands for a manifest, "" for none.
func (s State) nameOf(digest string) string {
	for _, n := range slices.Sorted(maps.Keys(s.Names)) {
		if s.Names[n].Digest == digest && digest != "" {
			return n
		}
	}
	return ""
}
