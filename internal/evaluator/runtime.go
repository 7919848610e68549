package evaluator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// measuredOtherwise checks whether the champion's figures were measured with a different version of the server or a
// different prompt. If so, it measures them again and returns done = true, which ends the recheck.
func (l *Loop) measuredOtherwise(ctx context.Context, row store.Model, champion, runtime string) (done bool, err error) {
	o := l.rules.Model.Serving.Ollama
	if o == nil || runtime == "" {
		return false, nil
	}
	c, err := actions.ReadChampion(row.Baseline)
	asked := o.Asked()
	switch {
	case err != nil:
		return false, err
	case c.Runtime != "" && c.Runtime != runtime:
		return true, l.remeasure(ctx, champion, fmt.Sprintf("runtime changed from %s to %s", c.Runtime, runtime), runtime, asked)
	case c.Asked != "" && c.Asked != asked:
		return true, l.remeasure(ctx, champion, "the prompt, the schema or the options were changed", runtime, asked)
	case c.Runtime == "" || c.Asked == "":
		return false, l.keepAsked(ctx, champion, runtime, asked)
	}
	return false, nil
}

// remeasure scores every held-out item again after a change of the server that runs the model, or of the prompt. The
// new answers replace the stored answers of the champion, and the new figures become its baseline, because an update
// of the server is not drift of the labels. If the service does not answer, the next recheck tries again.
func (l *Loop) remeasure(ctx context.Context, champion, why, runtime, asked string) error {
	before, err := l.deployed(ctx)
	if err != nil || before.active {
		return err
	}
	items, err := l.heldOut(ctx)
	if err != nil {
		return err
	}
	texts := make([]serving.Text, len(items))
	for i, it := range items {
		texts[i] = serving.Text{Item: it.ID, Hash: it.TextHash, Fields: it.Text}
	}
	l.log.Info("every held-out item is scored again", "reason", why)
	got, err := l.askAll(ctx, texts)
	if err != nil {
		return l.unanswered(ctx, err)
	}
	now := time.Now().UTC()
	var was, is drift.Baseline
	err = l.o.Store.Update(ctx, "remeasure", func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		if is, err := l.readDeployState(t, row); err != nil || is != before || row.Champion != champion {
			return errors.Join(err, errStale)
		}
		c, err := actions.ReadChampion(row.Baseline)
		if err != nil {
			return err
		}
		was = c.Baseline
		if c.Seq, err = t.LastChange(l.name); err != nil {
			return err
		}
		if err := l.replaceAnswers(t, champion, got, now); err != nil {
			return err
		}
		// A probation ends here, because it would compare with the figures of the former answers.
		c.Runtime, c.Asked, c.Probation = runtime, asked, nil
		row.Baseline, row.Monitor = mustJSON(c), ""
		m, err := monitor(t, row, l.rules, nil, l.o.Beat)
		if err != nil {
			return err
		}
		if c.Baseline, err = m.Rebase(now); err != nil {
			return err
		}
		c.Baseline.Why, is = why, c.Baseline
		for field, value := range map[store.ModelField]any{store.Baseline: mustJSON(c), store.Monitor: "", store.Serving: ""} {
			if err := t.SetModel(l.name, field, value); err != nil {
				return err
			}
		}
		return l.notify(t, notify.ModelRemeasured, "",
			notify.Remeasured{Release: champion, Why: why, Before: figuresOf(was), Now: figuresOf(is)})
	})
	l.monitor = nil // rebuilt with the new baseline
	if errors.Is(err, errStale) {
		return nil
	}
	if err == nil {
		l.log.Info("the baseline was measured again", "reason", why, "release", text.Digest(champion), "accuracy", is.Accuracy,
			"before", was.Accuracy)
	}
	return err
}

// replaceAnswers replaces all stored answers of a release by new ones.
func (l *Loop) replaceAnswers(t *store.Tx, release string, got []store.Prediction, now time.Time) error {
	if err := t.DropPredictionsSince(l.name, release, time.Time{}); err != nil {
		return err
	}
	for _, p := range got {
		p.At = now
		if err := t.PutPrediction(l.name, release, p); err != nil {
			return err
		}
	}
	return nil
}

func figuresOf(b drift.Baseline) *notify.Metrics {
	return &notify.Metrics{Accuracy: b.Accuracy, MacroF1: b.MacroF1, N: b.N}
}

// keepAsked stores the version of the server and the prompt with which the champion was measured, if they were not
// stored yet.
func (l *Loop) keepAsked(ctx context.Context, champion, runtime, asked string) error {
	return l.o.Store.Update(ctx, "runtime", func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil || row.Champion != champion {
			return err
		}
		c, err := actions.ReadChampion(row.Baseline)
		if err != nil {
			return err
		}
		c.Runtime, c.Asked = runtime, asked
		return t.SetModel(l.name, store.Baseline, mustJSON(c))
	})
}
