package daemon

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// keeper watches one model: one goroutine that evaluates when something pokes it, decides, and starts runs. What it
// knows is in the store; its monitor and caches are rebuilt from there.
type keeper struct {
	name    string
	d       *Daemon
	log     *slog.Logger
	coal    *watch.Coalescer
	sink    *sink
	sources []watch.Source

	evaluate chan struct{}          // evaluate now
	tell     chan chan drift.Report // evaluate now and tell
	runEnded chan struct{}          // a run of this model ended
	rules    chan *rules            // a new configuration
	resync   chan struct{}          // the user's own test set changed: read the whole table again
	audits   chan struct{}          // compute the figures again and compare

	rule    *rules // owned by the loop
	monitor *drift.Monitor
	trail   *drift.RelabelHistory // of the changes since the training
	after   int64                 // last change that was given to the monitor and the trail
	last    *policy.Decision      // the last one that was recorded, also by a former process
	before  *policy.Decision      // the one before, recorded or not: what conditions remember is in it
	beside  *policy.Shadow        // what is remembered of the shadow policy; nil before it is read
	scorer  *serving.Scorer
	beat    func()
	testSet testSet // as it was last looked at; owned by the loop

	planned time.Time // the next evaluation that evaluate.schedule asks for; owned by the loop

	suspected suspected // how the relabels were last judged; owned by the loop

	mu   sync.Mutex // guards view
	view view
}

// rules is what a reload may exchange.
type rules struct {
	model  *configs.Model
	policy *policy.Policy
	shadow *policy.Policy // nil without one
	loc    *time.Location
}

// view is what the faces show of a keeper.
type view struct {
	report   *drift.Report
	decision *policy.Decision
	next     time.Time
	windows  *policy.Windows
	floor    float64
	trouble  string
	shadow   *policy.Shadow
	audit    status.Audit
	rule     *rules
	scoring  *status.Scoring
	trial    *policy.Trial // nil where the release is on no probation
}

func (d *Daemon) newKeeper(name string, r *rules) (*keeper, error) {
	k := &keeper{
		name: name, d: d, log: d.log.With("model", name), rule: r,
		evaluate: make(chan struct{}, 1), tell: make(chan chan drift.Report), runEnded: make(chan struct{}, 1), rules: make(chan *rules, 1),
		resync: make(chan struct{}, 1), audits: make(chan struct{}, 1),
	}
	split, err := newSplit(d.store.Dir(), name, r.model)
	if err != nil {
		return nil, err
	}
	e := r.model.Policy.Evaluate
	k.coal = watch.NewCoalescer(e.Debounce.D(), e.MaxWait.D(), e.AfterChanges)
	k.sink = &sink{store: d.store, model: name, targets: r.model.Serving.List(), log: k.log}
	k.sink.split.Store(split)
	if err := k.openSources(r.model); err != nil {
		return nil, err
	}
	k.setView(func(v *view) { v.windows, v.floor, v.rule = r.policy.Windows(), floor(r.model.Policy), r })
	return k, nil
}

// poke makes the loop evaluate soon; it never blocks.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (k *keeper) setView(f func(*view)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(&k.view)
}

func (k *keeper) look() view {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.view
}

// run is the loop. It returns only ctx's cause: trouble is shown and tried again.
func (k *keeper) run(ctx context.Context) error {
	k.scorer = serving.NewScorer(k.rule.model.Serving)
	defer func() { k.scorer.Close() }()
	tick := time.NewTicker(k.d.beatEvery())
	defer tick.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	force := true // the first evaluation after a start is recorded whatever it says
	k.planned = k.rule.policy.Scheduled(time.Now())
	for {
		k.beat()
		audit := false
		var tell chan drift.Report
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			k.lookAtTestSet()
			continue
		case <-due.C:
		case <-k.coal.C():
		case <-k.evaluate:
			force = true
		case <-k.audits:
			audit = true
		case tell = <-k.tell:
			force = true
		case <-k.runEnded:
			k.monitor = nil
			force = true
		case r := <-k.rules:
			k.rule = r
			e := r.model.Policy.Evaluate
			k.coal.Set(e.Debounce.D(), e.MaxWait.D(), e.AfterChanges)
			k.scorer.Close()
			k.scorer = serving.NewScorer(r.model.Serving)
			k.monitor = nil
			force = true
			k.planned = r.policy.Scheduled(time.Now())
			k.setView(func(v *view) { v.windows, v.floor, v.rule = r.policy.Windows(), floor(r.model.Policy), r })
		}
		force = k.scheduled(ctx, time.Now()) || force
		next, err := k.round(ctx, force)
		if err == nil && audit {
			err = k.audit(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			k.complain(err)
			next = time.Now().Add(10 * time.Second)
		} else {
			force = false
			k.complain(nil)
		}
		if tell != nil {
			if r := k.look().report; r != nil && err == nil {
				tell <- *r
			}
			close(tell)
		}
		k.setView(func(v *view) { v.next = next })
		due.Reset(max(time.Until(next), 10*time.Millisecond))
	}
}

// complain logs trouble when it changes.
func (k *keeper) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if text == k.view.trouble {
		return
	}
	if err != nil {
		k.log.Error("evaluation failed; trying again", "err", err)
	} else {
		k.log.Info("evaluation works again")
	}
	k.view.trouble = text
}

// load rebuilds the monitor and the trail of relabels from the store.
func (k *keeper) load(ctx context.Context) error {
	var m *drift.Monitor
	trail := drift.NewRelabelHistory(k.rule.model.Serving.List()[0].Name)
	err := k.d.store.View(ctx, func(t *store.Tx) (err error) {
		if m, err = k.build(t); err != nil {
			return err
		}
		if k.last == nil {
			k.last, err = lastDecision(t, k.name)
			k.before = k.last
		}
		if err != nil {
			return err
		}
		return follow(t, k.name, trail, m.Release().TrainedSeq, m.TestedSeq(), k.beat)
	})
	if err == nil {
		k.monitor, k.after, k.trail, k.suspected = m, m.TestedSeq(), trail, suspected{}
	}
	return err
}

// beatItems is how many items are read between two heartbeats.
const beatItems = 10_000

// build makes a monitor from what is stored: items as they stand, cached answers, the tests' state.
func (k *keeper) build(t *store.Tx) (*drift.Monitor, error) {
	row, err := t.Model(k.name)
	if err != nil {
		return nil, err
	}
	m, err := monitor(t, row, k.rule, nil, k.beat)
	if err != nil {
		return nil, err
	}
	if row.Monitor != "" {
		if err := m.RestoreState([]byte(row.Monitor)); err != nil {
			k.log.Warn("the sequential tests start anew", "err", err)
		}
	}
	return m, nil
}

// monitor is made of stored items and answers, with other labels of the gating target for those items that instead
// names.
func monitor(t *store.Tx, row store.Model, r *rules, instead map[string]string, beat func()) (*drift.Monitor, error) {
	targets := r.model.Serving.List()
	m := drift.NewMonitor(r.model.Policy.Tests(drift.Options{Model: row.Name, Targets: targets}))
	release := drift.Release{Digest: row.Champion}
	if row.Champion != "" {
		var err error
		if release, err = champion(t, row); err != nil {
			return nil, err
		}
	}
	var broken error
	read := 0
	m.Reset(release, func(yield func(drift.Item) bool) {
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
			// One that only retraind has touched since the training is its own.
			own := it.Touched <= release.TrainedSeq
			if !yield(drift.Item{ID: it.ID, Heldout: it.Heldout, TextHash: it.TextHash, Group: it.Group, Labels: it.Labels, Own: own, At: it.At, Seq: it.Seq}) {
				return
			}
		}
	})
	if broken != nil {
		return nil, broken
	}
	// One by one: a map of all answers would take several times the memory of the monitor itself.
	err := t.Predictions(row.Name, row.Champion, func(p store.Prediction) {
		if read++; read%beatItems == 0 {
			beat()
		}
		m.Answer(p.Item, p.TextHash, p.Answers)
	})
	return m, err
}

// lastDecision is what was decided last, nil before the first time: what was told already is not told again after a
// restart, and what has changed meanwhile is.
func lastDecision(t *store.Tx, model string) (*policy.Decision, error) {
	found, err := t.Decisions(model, "", time.Now().Add(24*time.Hour), 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	d := &policy.Decision{}
	return d, json.Unmarshal([]byte(found[0].Body), d)
}

// champion is what the monitor must know of the serving release.
func champion(t *store.Tx, row store.Model) (drift.Release, error) {
	r, err := t.Release(row.Name, row.Champion)
	if err != nil {
		return drift.Release{}, err
	}
	c, err := actions.ReadChampion(row.Baseline)
	if err != nil {
		return drift.Release{}, err
	}
	out := drift.Release{Digest: row.Champion, TrainedSeq: r.Seq, Baseline: &c.Baseline, BaselineSeq: c.Seq, Probation: c.Probation}
	if err := json.Unmarshal([]byte(r.Labels), &out.TrainLabels); err != nil {
		return drift.Release{}, err
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

// floor is the accuracy below which the policy retrains, 0 where it names none.
func floor(c policy.Config) float64 {
	if b := c.RetrainWhen.AccuracyBelow; b != nil {
		return b.Share.F()
	}
	return 0
}
