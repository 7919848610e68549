package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/postgres"
)

// Config returns the part of a model's configuration that determines the sides of its items.
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

// WriteLabels implements actions.Source.
func (s Source) WriteLabels(ctx context.Context, model string, w actions.LabelWrite, origin string, rows []actions.LabelRow,
) (actions.LabelsWritten, error) {
	m, ok := s.File().Models[model]
	switch {
	case !ok:
		return actions.LabelsWritten{}, notConfigured(model)
	case m.Labels.Postgres == nil:
		return actions.LabelsWritten{}, errors.New("the model no longer has a table to write to (labels.postgres): remove write from the step label")
	}
	targets := m.Serving.List()
	hashes, values := map[string]string{}, make([]postgres.Values, 0, len(rows))
	for _, row := range rows {
		hashes[row.ID] = row.Hash
		values = append(values, postgres.Values{ID: row.ID, With: row.Params(targets)})
	}
	free := func(it watch.Item) bool {
		labels, err := serving.CanonicalLabels(targets, it.Labels)
		return err == nil && len(serving.Values(targets, labels)) == 0 && drift.TextHash(it.Text) == hashes[it.ID]
	}
	write := postgres.Write{DSNFile: w.DSNFile, Statement: w.Statement, Origin: origin}
	out, err := postgres.WriteRows(ctx, model, m.Labels.Postgres, write, values, free)
	return actions.LabelsWritten{Rows: out.Rows, Taken: out.Taken, None: out.None}, err
}

func notConfigured(model string) error {
	return fmt.Errorf("model %s is no longer configured", model)
}
