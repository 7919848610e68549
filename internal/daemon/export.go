package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/postgres"
	"github.com/retraind/retraind/watch/sources"
)

// ExportOptions of Export.
type ExportOptions struct {
	Dir   string
	Force bool // write also what looks broken beside the champion's export
}

// Export writes a model's training, validation and test files as a run would, without a daemon and beside a running one.
// Where the store knows an item its side is the stored one.
func Export(ctx context.Context, file *configs.File, model string, o ExportOptions) (actions.ExportFacts, error) {
	m, ok := file.Models[model]
	if !ok {
		return actions.ExportFacts{}, fmt.Errorf("model %q: %w", model, store.ErrNotFound)
	}
	split, err := newSplit(file.State, model, m)
	if err != nil {
		return actions.ExportFacts{}, err
	}
	s, err := store.OpenReader(file.State)
	if errors.Is(err, os.ErrNotExist) {
		s = nil // never run: the split alone decides
	} else if err != nil {
		return actions.ExportFacts{}, err
	} else {
		defer s.Close()
	}
	targets := m.Serving.List()
	plan := actions.ExportPlan{Targets: targets, SaltID: split.SaltID()}
	if s != nil && !o.Force {
		before, err := championLabels(ctx, s, model)
		if err != nil {
			return actions.ExportFacts{}, err
		}
		plan.Guard = func(f actions.ExportFacts) error {
			if before == nil {
				return nil
			}
			return actions.CheckExport(f, before)
		}
	}
	if s == nil && m.Labels.Postgres == nil {
		return actions.ExportFacts{}, fmt.Errorf("nothing was read yet from %s: start the daemon once (retraind run); it keeps what it reads in %s", strings.Join(m.Labels.Names(), " and "), file.State)
	}
	x := exporter{store: s, model: model, split: split, targets: targets, rows: func(t *store.Tx) iter.Seq2[watch.Item, error] { return allRows(ctx, t, model, &m.Labels, targets) }}
	facts, _, err := actions.Export(ctx, o.Dir, plan, labelled(x.sided(ctx), targets[0].Name))
	return facts, err
}

// championLabels is what the champion trained on, nil where there is none.
func championLabels(ctx context.Context, s *store.Store, model string) (labels map[string]int, err error) {
	err = s.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(model)
		if err != nil || row.Champion == "" {
			return err
		}
		r, err := t.Release(row.Name, row.Champion)
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(r.Labels), &labels)
	})
	return labels, err
}

// labelled ends rows of which none carries a label with an error, so that an earlier export stays.
func labelled(rows iter.Seq2[actions.Row, error], target string) iter.Seq2[actions.Row, error] {
	return func(yield func(actions.Row, error) bool) {
		n, some := 0, false
		for it, err := range rows {
			_, ok := it.Labels[target]
			n, some = n+1, some || ok || err != nil
			if !yield(it, err) {
				return
			}
		}
		if !some {
			yield(actions.Row{}, fmt.Errorf("none of %d rows carries a label: nothing was written; check what labels: names", n))
		}
	}
}

// allRows are a model's items as they stand: those of the table from the table, with the labels that events have given
// them since, and those that events brought from the store. t is nil before the first start.
func allRows(ctx context.Context, t *store.Tx, model string, labels *sources.Config, targets []serving.Target) iter.Seq2[watch.Item, error] {
	return func(yield func(watch.Item, error) bool) {
		relabelled := map[string]store.Item{}
		if t != nil {
			for it, err := range t.Relabelled(model) {
				if err != nil {
					yield(watch.Item{}, err)
					return
				}
				relabelled[it.ID] = it
			}
		}
		if labels.Postgres != nil {
			for it, err := range postgres.Export(ctx, model, labels.Postgres) {
				if known, ok := relabelled[it.ID]; ok {
					if said, _ := serving.CanonicalLabels(targets, it.Labels); maps.Equal(known.Base, said) {
						it.Labels = known.Labels
					}
				}
				if !yield(it, err) {
					return
				}
			}
		}
		if t == nil {
			return
		}
		for it, err := range t.Brought(model) {
			if !yield(watch.Item{ID: it.ID, Text: it.Text, Labels: it.Labels, At: it.At}, err) {
				return
			}
		}
	}
}

func saltPath(state, model string, m *configs.Model) string {
	if m.Heldout.SaltFile != "" {
		return m.Heldout.SaltFile
	}
	return filepath.Join(state, "models", model, "split-salt")
}

// newSplit reads the salt, and the user's own test set where one is configured.
func newSplit(state, model string, m *configs.Model) (*drift.Split, error) {
	salt, err := readSalt(saltPath(state, model, m))
	if err != nil || m.Heldout.File == "" {
		return drift.NewSplit(m.Heldout, salt, nil), err
	}
	file, err := drift.OpenHeldoutFile(m.Heldout.File, m.Heldout, m.Labels.TextFields())
	if err != nil {
		return nil, err
	}
	return drift.NewSplit(m.Heldout, salt, file), nil
}

var errStop = errors.New("stop")

// exporter gives each item its side.
type exporter struct {
	store   *store.Store // nil before the first start
	model   string
	split   *drift.Split
	targets []serving.Target
	rows    func(*store.Tx) iter.Seq2[watch.Item, error] // the items as they stand; may be called twice
}

// sided gives each row the side that was decided when it was first seen. A training row whose group is held out is
// marked: its text must not be trained on.
func (x exporter) sided(ctx context.Context) iter.Seq2[actions.Row, error] {
	return func(yield func(actions.Row, error) bool) {
		err := x.view(ctx, func(t *store.Tx) error {
			heldout, err := x.heldout(t)
			if err != nil {
				return err
			}
			for it, err := range x.rows(t) {
				if err != nil {
					return err
				}
				row, err := x.row(t, it, heldout)
				if err != nil {
					return err
				}
				row.Duplicate = row.Side != drift.SideTest && heldout.HasGroup(row.Group)
				if !yield(row, nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(actions.Row{}, err)
		}
	}
}

func (x exporter) view(ctx context.Context, f func(*store.Tx) error) error {
	if x.store == nil {
		return f(nil)
	}
	return x.store.View(ctx, f)
}

// heldout are the items that are held out in the store, and the groups that must not be trained on. Where the share
// decides and nothing was ever edited a group lies on one side; a file may name one of two items with the same text.
func (x exporter) heldout(t *store.Tx) (*drift.Seen, error) {
	out := &drift.Seen{}
	defer out.Sort()
	if t != nil {
		if err := t.HeldOutKeys(x.model, out.Add); err != nil {
			return nil, err
		}
	}
	if x.split.FileDigest() == "" {
		return out, nil
	}
	for it, err := range x.rows(t) {
		if err != nil {
			return nil, err
		}
		if group, heldout := x.split.Place(it.ID, it.Text); heldout {
			out.Add("", group)
		}
	}
	return out, nil
}

// row asks the store about few items alone, since that takes longer than all the rest: about those that the split holds
// out and the store does not.
func (x exporter) row(t *store.Tx, it watch.Item, stored *drift.Seen) (row actions.Row, err error) {
	place := x.split.Find(it.ID, it.Text)
	heldout := place.Heldout
	side := stored.HasItem(it.ID)
	known := side
	if !known && heldout && t != nil {
		if side, known, err = t.Side(x.model, it.ID); err != nil {
			return row, err
		}
	}
	if known {
		heldout = x.split.Follows(it.ID, place.Group, side)
	}
	it.Labels, _ = serving.CanonicalLabels(x.targets, it.Labels) // what is no label was told of when it was read
	return actions.Row{Item: it, Group: place.Group, Side: place.Side(heldout)}, nil
}

// Rows implements actions.Source: the items as they stand now.
func (d *Daemon) Rows(ctx context.Context, model string) iter.Seq2[actions.Row, error] {
	k, ok := d.keeper(model)
	if !ok {
		return func(yield func(actions.Row, error) bool) {
			yield(actions.Row{}, fmt.Errorf("model %s is not configured any more", model))
		}
	}
	labels := &d.loaded.Load().File.Models[model].Labels
	x := exporter{store: d.store, model: model, split: k.sink.split.Load(), targets: k.sink.targets, rows: func(t *store.Tx) iter.Seq2[watch.Item, error] {
		return allRows(ctx, t, model, labels, k.sink.targets)
	}}
	return x.sided(ctx)
}

// SaltID implements actions.Source.
func (d *Daemon) SaltID(model string) string {
	k, ok := d.keeper(model)
	if !ok {
		return ""
	}
	return k.sink.split.Load().SaltID()
}

// ReadTrained implements actions.Source.
func (d *Daemon) ReadTrained(model string, file io.Reader, seen *drift.Seen) error {
	m, ok := d.loaded.Load().File.Models[model]
	if !ok {
		return fmt.Errorf("model %s is not configured any more", model)
	}
	return seen.AddLines(file, m.Heldout.Group, m.Labels.TextFields())
}
