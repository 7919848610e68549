package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/dataset"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// ExportOptions are the options of Export.
type ExportOptions struct {
	Dir   string
	Force bool // write the files even if they look broken compared with the champion's export
	Chat  bool // also write chat messages for a language model
}

// Export writes a model's training, validation and test files as a run does, without a daemon or while one is
// running. Items that are in the store stay held out, or not, as stored. If no daemon ever ran, it creates the salt.
func Export(ctx context.Context, file *configs.File, model string, o ExportOptions) (actions.ExportFacts, error) {
	m, ok := file.Models[model]
	if !ok {
		return actions.ExportFacts{}, fmt.Errorf("model %q: %w", model, store.ErrNotFound)
	}
	s, err := store.OpenReader(file.State)
	if errors.Is(err, os.ErrNotExist) {
		s = nil // no daemon ever ran: the split alone decides
	} else if err != nil {
		return actions.ExportFacts{}, err
	} else {
		defer s.Close()
	}
	sides := dataset.Config(file, model)
	if s != nil {
		if err := sides.FindKnown(ctx, s); err != nil {
			return actions.ExportFacts{}, err
		}
	}
	split, err := sides.NewSplit()
	if err != nil {
		return actions.ExportFacts{}, err
	}
	targets := m.Serving.List()
	plan := actions.ExportPlan{Targets: targets, SaltID: split.SaltID()}
	if m.Serving.Ollama != nil {
		plan.Prompts = m.Serving.Ollama.Digest()
	}
	if o.Chat {
		if plan.Chat, err = serving.NewChat(m.Serving); err != nil {
			return actions.ExportFacts{}, err
		}
	}
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
		return actions.ExportFacts{},
			fmt.Errorf("no labels have been read yet from %s: start the daemon once (retraind run); it stores them in %s",
				strings.Join(m.Labels.Names(), " and "), file.State)
	}
	rows := dataset.Reader{Store: s, Model: model, Labels: &m.Labels, Split: split, Targets: targets}.Rows(ctx)
	facts, _, err := actions.Export(ctx, o.Dir, plan, labelled(rows, targets[0].Name))
	return facts, err
}

// championLabels returns how often each label occurs in the champion's training data, or nil if there is no champion.
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

// labelled passes the rows on, and yields an error if no row has a label, so that the files of an earlier export are
// kept.
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
			yield(actions.Row{},
				fmt.Errorf("none of %d rows has a label, so nothing was written; check the section labels of the configuration", n))
		}
	}
}
