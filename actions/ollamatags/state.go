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

	"github.com/retraind/retraind/internal/durable"
)

// State is the record of the names created for one model, in a file beside its releases.
type State struct {
	Names map[string]Entry `json:"names"` // by name with tag
	// GPU means that the model in service was once completely on the GPU, so that anything less is a fault.
	GPU bool `json:"gpu,omitempty"`
}

// Entry is one recorded name.
type Entry struct {
	Release string    `json:"release,omitempty"` // digest of the release; "" for the model in service before the first one
	Digest  string    `json:"digest"`            // digest of the name's manifest
	Made    time.Time `json:"made"`
}

// readState reads the file; a missing file is an empty State.
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
		return s, fmt.Errorf("read the record of names on the Ollama server: %s: %w", path, err)
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
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

// of returns the newest name of a release; "" if there is none.
func (s State) of(release string) (name string) {
	for n, e := range s.Names {
		if e.Release == release && release != "" && (name == "" || e.Made.After(s.Names[name].Made)) {
			name = n
		}
	}
	return name
}

// nameOf returns a recorded name with this manifest, "" if there is none.
func (s State) nameOf(digest string) string {
	for _, n := range slices.Sorted(maps.Keys(s.Names)) {
		if s.Names[n].Digest == digest && digest != "" {
			return n
		}
	}
	return ""
}
