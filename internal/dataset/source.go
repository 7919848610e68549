package dataset

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/store"
)

// Config is the part of a model's configuration that decides the sides of its items.
func Config(file *configs.File, model string) ingest.Config {
	m := file.Models[model]
	return ingest.Config{
		State: file.State, Model: model, Heldout: m.Heldout, TextFields: m.Labels.TextFields(), Targets: m.Serving.List(),
		Table: m.Labels.Postgres != nil,
	}
}

// Source provides runs with the items of every model. It implements actions.Source.
type Source struct {
	Store  *store.Store
	File   func() *configs.File // the present configuration
	Writer func(model string) (*ingest.Writer, bool)
}

var _ actions.Source = Source{}

// Rows implements actions.Source.
func (s Source) Rows(ctx context.Context, model string) iter.Seq2[actions.Row, error] {
	w, ok := s.Writer(model)
	if !ok {
		return func(yield func(actions.Row, error) bool) { yield(actions.Row{}, notConfigured(model)) }
	}
	labels := &s.File().Models[model].Labels
	return Reader{Store: s.Store, Model: model, Labels: labels, Split: w.Split(), Targets: w.Targets()}.Rows(ctx)
}

// SaltID implements actions.Source.
func (s Source) SaltID(model string) string {
	w, ok := s.Writer(model)
	if !ok {
		return ""
	}
	return w.Split().SaltID()
}

// ReadTrained implements actions.Source.
func (s Source) ReadTrained(model string, file io.Reader, seen *drift.Seen) error {
	m, ok := s.File().Models[model]
	if !ok {
		return notConfigured(model)
	}
	return seen.AddLines(file, m.Heldout.Group, m.Labels.TextFields())
}

func notConfigured(model string) error {
	return fmt.Errorf("model %s is no longer configured", model)
}
