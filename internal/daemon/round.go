package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

const (
	replayBatch = 2000 // changes given to the monitor between two heartbeats
	scoreBatch  = 500  // texts asked about at a time
	// silences is how many time-outs of the classifier the loop waits for an answer before it counts as hanging itself.
	silences = 10
	// handOverEvery is how soon a queued run is handed to the engine again, which refuses it while it ends the former one.
	handOverEvery = time.Second
)

// round is one turn of the loop: replay new changes, score unseen texts, report, decide, record, and start a run if
// that is the verdict. It returns when the next turn is due at the latest.
func (k *keeper) round(ctx context.Context, record bool) (next time.Time, err error) {
	defer func() {
		if err != nil {
			k.monitor = nil // it has seen changes that nothing was written down about: they must be given to it again
		}
	}()
	k.lookAtTestSet()
	if k.monitor == nil {
		if err := k.load(ctx); err != nil {
			return time.Time{}, err
		}
	}
	before := k.monitor.Seq()
	fresh, err := k.replay(ctx)
	if err != nil {
		return time.Time{}, err
	}
	scored, err := k.score(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now().UTC()
	report := k.monitor.Report(now)
	h, queued, err := k.history(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if h.Probation, err = k.trial(ctx, report, now); err != nil {
		return time.Time{}, err
	}
	judged := k.suspected.seq
	d, err := k.suspicion(ctx, &report, h, k.rule.policy.Decide(report, h, now), now)
	if err != nil {
		return time.Time{}, err
	}
	k.before = &d
	last := k.last
	edge := last == nil || essence(*last) != essence(d)
	k.setView(func(v *view) { v.report, v.decision, v.trial = &report, &d, h.Probation })
	if record || edge || scored > 0 || k.monitor.Seq() != before || k.suspected.seq != judged {
		err := k.record(ctx, report, d, last, fresh)
		if errors.Is(err, errStale) {
			k.monitor = nil
			return now, nil
		}
		if err != nil {
			return time.Time{}, err
		}
		k.last = &d
	}
	if err := k.shade(ctx, report, h, d, now); err != nil {
		return time.Time{}, err
	}
	if d.Verdict == policy.VerdictRetrain && len(d.Blocked) == 0 {
		if err := k.start(ctx, d, h); err != nil {
			return time.Time{}, err
		}
		queued = true
	}
	if d.RollsBack() {
		err := k.rollback(ctx, d)
		if errors.Is(err, errStale) {
			k.monitor = nil
			return now, nil
		}
		if err != nil {
			return time.Time{}, err
		}
		queued = true
	}
	next = k.nextTurn(now, report, d)
	if soon := now.Add(handOverEvery); queued && soon.Before(next) {
		next = soon
	}
	return next, nil
}

// replay gives the monitor the changes that its tests have not seen, and counts those that nobody was told of: after a
// rebuild some are given again.
func (k *keeper) replay(ctx context.Context) (fresh news, err error) {
	var told int64
	if err := k.d.store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(k.name)
		told = row.Applied
		return err
	}); err != nil {
		return fresh, err
	}
	for {
		var batch []store.Change
		if err := k.d.store.View(ctx, func(t *store.Tx) (err error) {
			batch, err = t.Changes(k.name, k.after, replayBatch)
			return err
		}); err != nil || len(batch) == 0 {
			return fresh, err
		}
		for _, c := range batch {
			k.apply(c)
			if c.N > told {
				fresh.count(c)
			}
		}
		k.after = batch[len(batch)-1].N
		k.beat()
	}
}

func (k *keeper) apply(c store.Change) {
	leave(k.trail, c)
	switch c.Op {
	case "delete":
		k.monitor.Delete(c.Item, c.N)
	case "label":
		k.monitor.Label(drift.Change{Item: c.Item, Old: c.Old, New: c.New, Own: isOwn(c), Author: c.Author, At: c.At, Seq: c.N})
	default:
		k.monitor.Put(drift.Item{
			ID: c.Item, Heldout: c.Heldout, TextHash: c.TextHash, Group: c.Group, Labels: c.New, Old: c.Old, Inserted: c.Old == nil,
			Own: isOwn(c), Author: c.Author, At: c.At, Seq: c.N,
		})
	}
}

func isOwn(c store.Change) bool { return isOwnOrigin(c.Origin) }

// score asks the classifier about the held-out texts that it has not answered yet. What the service cannot answer is a
// state of the report, not an error of the round.
func (k *keeper) score(ctx context.Context) (int, error) {
	release := k.monitor.Release().Digest
	waiting := k.monitor.Unscored()
	k.monitor.Service(nil)
	if release == "" || len(waiting) == 0 {
		return 0, nil
	}
	scored, all := 0, len(waiting)
	defer k.setView(func(v *view) { v.scoring = nil })
	for len(waiting) > 0 {
		if all > scoreBatch {
			k.setView(func(v *view) { v.scoring = &status.Scoring{Done: scored, Of: all} })
		}
		batch := waiting[:min(len(waiting), scoreBatch)]
		waiting = waiting[len(batch):]
		texts, err := k.texts(ctx, release, batch)
		if err != nil {
			return scored, err
		}
		var got []store.Prediction
		serr := k.ask(ctx, texts, func(t drift.Text, a drift.Answer) {
			if a.Release != "" && a.Release != release {
				return // another release answers just now: its answers say nothing about the champion
			}
			got = append(got, store.Prediction{Item: t.Item, TextHash: t.Hash, Answers: a.Values, Confidence: a.Confidence})
		})
		if ctx.Err() != nil {
			return scored, context.Cause(ctx)
		}
		if len(got) > 0 {
			if err := k.d.store.Update(ctx, "predictions", func(t *store.Tx) error {
				for _, p := range got {
					if err := t.PutPrediction(k.name, release, p); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return scored, err
			}
		}
		for _, p := range got {
			k.monitor.Answer(p.Item, p.TextHash, p.Answers)
		}
		scored += len(got)
		k.beat()
		if serr != nil {
			if !k.rule.model.Serving.MayBeAsleep() {
				serr = errors.New(serr.Error()) // away is a fault here, whatever it is elsewhere
			}
			k.monitor.Service(serr)
			k.log.Warn("held-out texts wait for the classifier", "waiting", len(waiting)+len(batch)-len(got), "err", serr)
			return scored, nil
		}
	}
	return scored, nil
}

// ask asks the classifier and lets the heart beat meanwhile: a service that is slow must not pass for a loop that hangs.
// The waiting has an end, after which the heart stops as for any other loop.
func (k *keeper) ask(ctx context.Context, texts []drift.Text, got func(drift.Text, drift.Answer)) error {
	patience := silences * k.rule.model.Serving.Timeout.D()
	var heard atomic.Int64 // since start
	start := time.Now()
	done := make(chan error, 1)
	go func() {
		done <- k.scorer.Score(ctx, texts, func(t drift.Text, a drift.Answer) {
			heard.Store(int64(time.Since(start)))
			got(t, a)
		})
	}()
	tick := time.NewTicker(k.d.beatEvery())
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if time.Since(start)-time.Duration(heard.Load()) < patience {
				k.beat()
			}
		}
	}
}

// texts are those to ask about. One that stands as it once stood has its answer already.
func (k *keeper) texts(ctx context.Context, release string, waiting []drift.Unscored) ([]drift.Text, error) {
	var texts []drift.Text
	err := k.d.store.View(ctx, func(t *store.Tx) error {
		for _, u := range waiting {
			switch p, err := t.Prediction(k.name, release, u.Item, u.TextHash); {
			case err == nil && k.monitor.Answer(p.Item, p.TextHash, p.Answers):
				continue
			case err != nil && !errors.Is(err, store.ErrNotFound):
				return err
			}
			it, err := t.Item(k.name, u.Item)
			if errors.Is(err, store.ErrNotFound) || err == nil && it.TextHash != u.TextHash {
				continue // it changed since: the next round has it
			}
			if err != nil {
				return err
			}
			texts = append(texts, drift.Text{Item: u.Item, Hash: u.TextHash, Fields: it.Text})
		}
		return nil
	})
	return texts, err
}

// record stores report, decision and the tests' state with the notifications of what changed, in one transaction.
func (k *keeper) record(ctx context.Context, r drift.Report, d policy.Decision, last *policy.Decision, fresh news) error {
	state, err := k.monitor.State()
	if err != nil {
		return err
	}
	return k.d.store.Update(ctx, "evaluation", func(t *store.Tx) error {
		row, err := t.Model(k.name)
		if err != nil {
			return err
		}
		if row.Champion != r.Release {
			return errStale
		}
		if err := t.SetModel(k.name, store.Applied, k.monitor.Seq()); err != nil {
			return err
		}
		if err := t.SetModel(k.name, store.Monitor, string(state)); err != nil {
			return err
		}
		if err := t.AddReport(store.Report{Model: k.name, At: r.At, Seq: r.Seq, State: string(r.State), Accuracy: r.Accuracy, Body: mustJSON(r)}); err != nil {
			return err
		}
		if _, err := t.AddDecision(store.Decision{Model: k.name, At: d.At, Verdict: string(d.Verdict), Reason: string(d.Reason), Body: mustJSON(d)}); err != nil {
			return err
		}
		if fresh.changes > 0 {
			if err := k.notify(t, notify.LabelsReceived, "", notify.Labels{Source: strings.Join(fresh.sources, ","), Changes: fresh.changes, Own: fresh.own, Watermark: r.Seq}); err != nil {
				return err
			}
		}
		data := driftData(r, d)
		if err := k.notify(t, notify.DriftMeasured, "", data); err != nil {
			return err
		}
		switch was, is := last != nil && tripped(*last), tripped(d); {
		case is && !was:
			if err := k.notify(t, notify.DriftTripped, "", data); err != nil {
				return err
			}
		case was && !is:
			if err := k.notify(t, notify.DriftCleared, "", data); err != nil {
				return err
			}
		}
		if last != nil && essence(*last) == essence(d) {
			return nil
		}
		if err := k.notify(t, notify.DecisionMade, "", notify.Decision{Verdict: string(d.Verdict), Reasons: reasons(d), Conditions: data.Conditions, Digest: d.PolicyDigest}); err != nil {
			return err
		}
		return k.intend(t, d)
	})
}

// errStale says that a run has ended since the monitor was built: another release serves.
var errStale = errors.New("the monitor judges a release that does not serve any more")

// intend keeps an armed decision as data: it waits in the store, not in a goroutine.
func (k *keeper) intend(t *store.Tx, d policy.Decision) error {
	row, err := t.Model(k.name)
	if err != nil {
		return err
	}
	if d.Verdict != policy.VerdictRetrain {
		if row.Intent == "" {
			return nil
		}
		return t.SetModel(k.name, store.Intent, "")
	}
	if err := t.SetModel(k.name, store.Intent, mustJSON(d)); err != nil || len(d.Blocked) == 0 {
		return err
	}
	b := d.Blocked[0]
	if b.Reason == policy.ReasonRunActive {
		return nil // it is being done
	}
	return k.notify(t, notify.RunScheduled, "", notify.Scheduled{Pipeline: k.pipeline(row), Reason: d.Text, NotBefore: b.Until, Waits: b.Text})
}

func (k *keeper) notify(t *store.Tx, kind notify.Kind, run string, data any) error {
	return actions.Notify(t, k.d.host, kind, k.name, run, data)
}

func driftData(r drift.Report, d policy.Decision) notify.Drift {
	out := notify.Drift{Release: r.Release, State: string(r.State), Drop: r.Drop, Watermark: r.Seq}
	if r.Scored > 0 {
		out.Now = &notify.Metrics{Accuracy: r.Accuracy, Low: r.Low, High: r.High, MacroF1: r.MacroF1, N: r.Scored}
	}
	if b := r.Baseline; b != nil {
		low, high := drift.Wilson(b.Correct, b.N)
		out.Baseline = &notify.Metrics{Accuracy: b.Accuracy, Low: low, High: high, MacroF1: b.MacroF1, N: b.N}
	}
	for _, c := range d.Conditions {
		out.Conditions = append(out.Conditions, notify.Condition{Name: c.Name, Value: c.Value, Bound: c.Bound, True: c.Tripped, Text: c.Text})
	}
	return out
}

func tripped(d policy.Decision) bool {
	for _, c := range d.Conditions {
		if c.Tripped {
			return true
		}
	}
	return false
}

func reasons(d policy.Decision) []string {
	var out []string
	if d.Reason != "" {
		out = append(out, string(d.Reason))
	}
	for _, b := range d.Blocked {
		if string(b.Reason) != string(d.Reason) {
			out = append(out, string(b.Reason))
		}
	}
	return out
}

// essence is what must differ for a decision to be another one: figures move all the time, verdicts do not.
func essence(d policy.Decision) string {
	type short struct {
		Verdict, Reason string
		Tripped         []string
		Pending         []string // breached, but not for long enough
		Blocked         []string
		Policy, Release string
	}
	s := short{Verdict: string(d.Verdict), Reason: string(d.Reason), Blocked: reasons(d), Policy: d.PolicyDigest, Release: d.Release}
	for _, c := range d.Conditions {
		if c.Tripped {
			s.Tripped = append(s.Tripped, c.Name)
		}
		if !c.Trips.IsZero() {
			s.Pending = append(s.Pending, c.Name)
		}
	}
	return mustJSON(s)
}

// nextTurn is when the loop must look again although nothing pokes it.
func (k *keeper) nextTurn(now time.Time, r drift.Report, d policy.Decision) time.Time {
	next := now.Add(24 * time.Hour)
	earlier := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	e := k.rule.model.Policy.Evaluate
	if e.Every > 0 {
		earlier(now.Add(e.Every.D()))
	}
	earlier(k.rule.policy.Scheduled(now))
	if r.Probation != nil {
		earlier(r.Probation.Until)
	}
	for _, b := range d.Blocked {
		earlier(b.Until)
	}
	for _, c := range d.Conditions {
		earlier(c.Trips)
	}
	if k.rule.shadow != nil && k.beside != nil && k.beside.Last != nil {
		for _, b := range k.beside.Last.Blocked {
			earlier(b.Until)
		}
		for _, c := range k.beside.Last.Conditions {
			earlier(c.Trips)
		}
	}
	if s := k.suspected; r.Suspicion != nil && s.seq != r.Seq {
		earlier(s.again)
	}
	if k.reading() { // the end of it is no change of a label
		earlier(now.Add(time.Second))
	}
	if r.State == drift.StateAsleep || r.State == drift.StateError || r.State == drift.StateUnscored {
		earlier(now.Add(min(max(e.MaxWait.D(), time.Second), time.Minute)))
	}
	return next
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("daemon: " + err.Error()) // only our own records come here; NaN is refused where figures are made
	}
	return string(b)
}
