package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// Export writes a model's training and test files as a run would, without a daemon and beside a running one. Where the
// store knows an item its side is the stored one.
func Export(ctx context.Context, file *configs.File, model, dir string) (actions.ExportFacts, error) {
	m, ok := file.Models[model]
	if !ok {
		return actions.ExportFacts{}, fmt.Errorf("model %q: %w", model, store.ErrNotFound)
	}
	salt, err := readSalt(saltPath(file.State, model, m))
	if err != nil {
		return actions.ExportFacts{}, err
	}
	membership := drift.NewMembership(salt, m.Heldout.Share.F())
	rows := watch.Export(ctx, model, m.Labels.Postgres)
	target := m.Serving.List()[0].Name
	rows = labelled(rows, target)
	s, err := store.OpenReader(file.State)
	if errors.Is(err, os.ErrNotExist) { // never run: membership alone decides
		return actions.Export(ctx, dir, target, func(yield func(actions.Row, error) bool) {
			for it, err := range rows {
				if !yield(actions.Row{Item: it, Heldout: membership.Heldout(drift.GroupKey(it.Text, m.Heldout.Group))}, err) {
					return
				}
			}
		})
	}
	if err != nil {
		return actions.ExportFacts{}, err
	}
	defer s.Close()
	return actions.Export(ctx, dir, target, sided(ctx, s, model, membership, m.Heldout.Group, rows))
}

// labelled ends rows of which none carries a label with an error, so that an earlier export stays.
func labelled(rows iter.Seq2[watch.Item, error], target string) iter.Seq2[watch.Item, error] {
	return func(yield func(watch.Item, error) bool) {
		n, some := 0, false
		for it, err := range rows {
			_, ok := it.Labels[target]
			n, some = n+1, some || ok || err != nil
			if !yield(it, err) {
				return
			}
		}
		if !some {
			yield(watch.Item{}, fmt.Errorf("none of %d rows carries a label: nothing was written; check labels.postgres.table and labels.postgres.label", n))
		}
	}
}

func saltPath(state, model string, m *configs.Model) string {
	if m.Heldout.SaltFile != "" {
		return m.Heldout.SaltFile
	}
	return filepath.Join(state, "models", model, "split-salt")
}

var errStop = errors.New("stop")

// sided gives each row the side that was decided when it was first seen. A training row whose text equals a held-out
// one is left out: the text must not be trained on.
func sided(ctx context.Context, s *store.Store, model string, membership drift.Membership, group []string, rows iter.Seq2[watch.Item, error]) iter.Seq2[actions.Row, error] {
	return func(yield func(actions.Row, error) bool) {
		err := s.View(ctx, func(t *store.Tx) error {
			heldout := map[string]bool{}
			for it, err := range t.HeldOut(model) {
				if err != nil {
					return err
				}
				heldout[it.TextHash] = true
			}
			for it, err := range rows {
				if err != nil {
					return err
				}
				side, known, err := t.Side(model, it.ID)
				if err != nil {
					return err
				}
				if !known {
					side = membership.Heldout(drift.GroupKey(it.Text, group))
				}
				if !side && heldout[drift.TextHash(it.Text)] {
					continue
				}
				if !yield(actions.Row{Item: it, Heldout: side}, nil) {
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

// Rows implements actions.Source: the table as it stands now.
func (d *Daemon) Rows(ctx context.Context, model string) iter.Seq2[actions.Row, error] {
	k, ok := d.keeper(model)
	if !ok {
		return func(yield func(actions.Row, error) bool) {
			yield(actions.Row{}, fmt.Errorf("model %s is not configured any more", model))
		}
	}
	pg := d.loaded.Load().File.Models[model].Labels.Postgres
	return sided(ctx, d.store, model, k.sink.membership, k.sink.group, watch.Export(ctx, model, pg))
}
