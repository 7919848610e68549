package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

const (
	replayBatch = 2000 // changes given to the monitor between two heartbeats
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

func isOwn(c store.Change) bool { return watch.IsOwn(c.Origin) }

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
