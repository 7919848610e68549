package ingest

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// Config decides which labels of a model are stored, and which items are held out.
type Config struct {
	State      string // the state directory
	Model      string
	Heldout    drift.HeldoutConfig
	TextFields []string // text columns or fields, for a test set that names texts
	Targets    []serving.Target
	Table      bool // a table is among the sources
	Known      bool // the store has items of the model already, so a missing salt is an error; set by FindKnown
}

// FindKnown sets Known.
func (c *Config) FindKnown(ctx context.Context, s *store.Store) error {
	return s.View(ctx, func(t *store.Tx) error {
		for _, err := range t.Items(c.Model) {
			c.Known = err == nil
			return err
		}
		return nil
	})
}

// NewSplit returns the split that decides which items of a model are held out: by the user's own test set if one is
// configured, else by the salt. It creates a missing salt unless Known is set.
func (c Config) NewSplit() (*drift.Split, error) {
	salt, err := readSalt(cmp.Or(c.Heldout.SaltFile, filepath.Join(c.State, "models", c.Model, "split-salt")), c.Known)
	if err != nil || c.Heldout.File == "" {
		return drift.NewSplit(c.Heldout, salt, nil), err
	}
	file, err := drift.OpenHeldoutFile(c.Heldout.File, c.Heldout, c.TextFields)
	if err != nil {
		return nil, err
	}
	return drift.NewSplit(c.Heldout, salt, file), nil
}
