package evaluator

import (
	"context"
	"encoding/json"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// load rebuilds the monitor and the relabel history from the store.
func (l *Loop) load(ctx context.Context) error {
	var m *drift.Monitor
	trail := drift.NewRelabelHistory(l.rules.Model.Serving.List()[0])
	err := l.o.Store.View(ctx, func(t *store.Tx) (err error) {
		if m, err = l.build(t); err != nil {
			return err
		}
		if l.last == nil {
			l.last, err = lastDecision(t, l.name)
			l.before = l.last
		}
		if err != nil {
			return err
		}
		return follow(t, l.name, trail, m.Release().TrainedSeq, m.TestedSeq(), l.o.Beat)
	})
	if err == nil {
		l.monitor, l.after, l.relabels, l.suspected = m, m.TestedSeq(), trail, suspected{}
	}
	return err
}

// beatItems is how many items are read between two heartbeats.
const beatItems = 10_000

// build makes a monitor from the store: from the present items, the cached answers and the state of the sequential
// tests.
func (l *Loop) build(t *store.Tx) (*drift.Monitor, error) {
	row, err := t.Model(l.name)
	if err != nil {
		return nil, err
	}
	m, err := monitor(t, row, l.rules, nil, l.o.Beat)
	if err != nil {
		return nil, err
	}
	if row.Monitor != "" && !ofOtherGate(m.Release()) {
		if err := m.RestoreState([]byte(row.Monitor)); err != nil {
			l.log.Warn("the sequential tests start again, because their stored state cannot be used", "err", err)
		}
	}
	return m, nil
}

// monitor builds a monitor from the stored items and answers. instead has labels of the gating target, by item, that
// replace the stored ones.
func monitor(t *store.Tx, row store.Model, r *Rules, instead map[string]string, beat func()) (*drift.Monitor, error) {
	targets := r.Model.Serving.List()
	m := drift.NewMonitor(r.Model.Policy.Tests(drift.Options{Model: row.Name, Targets: targets}))
	release := drift.Release{Digest: row.Champion}
	if row.Champion != "" {
		var err error
		if release, err = champion(t, row, r.gate()); err != nil {
			return nil, err
		}
	}
	trained, err := trainedLabels(t, row.Name, release.TrainedSeq, beat)
	if err != nil {
		return nil, err
	}
	var broken error
	read := 0
	m.Reset(release, func(yield func(drift.LabelChange) bool) {
		for it, err := range t.Items(row.Name) {
			if err != nil {
				broken = err
				return
			}
			if read++; read%beatItems == 0 {
				beat()
			}
			if label, ok := instead[it.ID]; ok {
				it.Labels[targets[0].Name] = label
			}
			// own: no one except retraind has changed the item since the training.
			own := it.Touched <= release.TrainedSeq
			if !yield(drift.LabelChange{
				Item: it.ID, Heldout: it.Heldout, TextHash: it.TextHash, Group: it.Group, New: it.Labels,
				Trained: trained[it.ID], Own: own, At: it.At, Seq: it.Seq,
			}) {
				return
			}
		}
	})
	if broken != nil {
		return nil, broken
	}
	// One by one: a map of all answers would take several times the memory of the monitor.
	err = t.Predictions(row.Name, row.Champion, func(p store.Prediction) {
		if read++; read%beatItems == 0 {
			beat()
		}
		m.Answer(p.Item, p.TextHash, p.Answers)
	})
	return m, err
}

// trainedLabels returns the labels that items had in the training snapshot, for the items that were relabelled since.
// `after` is the last change in the snapshot. The labels are nil for items that were inserted since, or whose text
// changed.
func trainedLabels(t *store.Tx, model string, after int64, beat func()) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for {
		batch, err := t.Changes(model, after, replayBatch)
		if err != nil || len(batch) == 0 {
			return out, err
		}
		for _, c := range batch {
			if watch.Op(c.Op) != watch.OpLabel {
				out[c.Item] = nil
			} else if _, known := out[c.Item]; !known {
				out[c.Item] = c.Old
			}
		}
		after = batch[len(batch)-1].N
		beat()
	}
}

// lastDecision returns the last stored decision, nil if there is none. With it, a restart repeats no events and
// detects changes that happened while the daemon was down.
func lastDecision(t *store.Tx, model string) (*policy.Decision, error) {
	found, err := t.Decisions(model, "", time.Now().Add(24*time.Hour), 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	d := &policy.Decision{}
	return d, json.Unmarshal([]byte(found[0].Body), d)
}

// champion returns the monitor's data about the serving release. Data about another target than the gating one are left
// out.
func champion(t *store.Tx, row store.Model, gate string) (drift.Release, error) {
	r, err := t.Release(row.Name, row.Champion)
	if err != nil {
		return drift.Release{}, err
	}
	c, err := actions.ReadChampion(row.Baseline)
	if err != nil {
		return drift.Release{}, err
	}
	out := drift.Release{Digest: row.Champion, TrainedSeq: r.Seq, BaselineSeq: c.Seq}
	if c.Baseline.Target == "" || c.Baseline.Target == gate {
		out.Baseline, out.Probation = &c.Baseline, c.Probation
	}
	if c.Gate == "" || c.Gate == gate {
		if err := json.Unmarshal([]byte(r.Labels), &out.TrainLabels); err != nil {
			return drift.Release{}, err
		}
	}
	trained, err := actions.ReadTrained(t, row.Name, r.Run)
	if err != nil {
		return drift.Release{}, err
	}
	if trained != nil {
		out.TrainedOn = trained.Has
	}
	return out, nil
}
