package evaluator

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
func (l *Loop) evaluate(ctx context.Context, record bool) (next time.Time, err error) {
	defer func() {
		if err != nil {
			l.monitor = nil // it has seen changes that nothing was written down about: they must be given to it again
		}
	}()
	l.o.Labels.CheckTestSet()
	if l.o.Labels.TakeRenamed() {
		l.monitor = nil // it knows items by their former ids
	}
	before := l.seen()
	fresh, err := l.catchUp(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if err := l.lookAtService(ctx, record); err != nil {
		return time.Time{}, err
	}
	if l.monitor == nil { // adopted, or foreign: built anew, and the changes are given to it again
		if fresh, err = l.catchUp(ctx); err != nil {
			return time.Time{}, err
		}
	}
	scored := 0
	if l.serving == nil || l.serving.Foreign == nil {
		if scored, err = l.score(ctx); err != nil {
			return time.Time{}, err
		}
	}
	now := time.Now().UTC()
	report := l.monitor.Report(now)
	l.serving.asForeign(&report)
	l.showServing()
	h, queued, err := l.history(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if h.Probation, err = l.trial(ctx, report, now); err != nil {
		return time.Time{}, err
	}
	judged := l.suspected.seq
	d, err := l.suspicion(ctx, &report, h, l.rules.Policy.Decide(report, h, now), now)
	if err != nil {
		return time.Time{}, err
	}
	l.before = &d
	last := l.last
	edge := last == nil || essence(*last) != essence(d)
	l.setView(func(v *View) { v.Report, v.Decision, v.Trial = &report, &d, h.Probation })
	if record || edge || scored > 0 || l.monitor.Seq() != before || l.suspected.seq != judged {
		err := l.record(ctx, report, d, last, fresh)
		if errors.Is(err, errStale) {
			l.monitor = nil
			return now, nil
		}
		if err != nil {
			return time.Time{}, err
		}
		l.last = &d
	}
	if err := l.decideShadow(ctx, report, h, d, now); err != nil {
		return time.Time{}, err
	}
	if d.Verdict == policy.VerdictRetrain && len(d.Blocked) == 0 {
		if err := l.start(ctx, d, h); err != nil {
			return time.Time{}, err
		}
		queued = true
	}
	if d.RollsBack() {
		err := l.rollback(ctx, d)
		if errors.Is(err, errStale) {
			l.monitor = nil
			return now, nil
		}
		if err != nil {
			return time.Time{}, err
		}
		queued = true
	}
	next = l.nextTurn(now, report, d)
	if soon := now.Add(handOverEvery); queued && soon.Before(next) {
		next = soon
	}
	return next, nil
}

// seen is the last change that the monitor has, -1 before it is built.
func (l *Loop) seen() int64 {
	if l.monitor == nil {
		return -1
	}
	return l.monitor.Seq()
}

// catchUp builds the monitor where there is none, and gives it the changes that it has not seen.
func (l *Loop) catchUp(ctx context.Context) (arrivals, error) {
	if l.monitor == nil {
		if err := l.load(ctx); err != nil {
			return arrivals{}, err
		}
	}
	return l.replay(ctx)
}

// lookAtService adopts a service that served before retraind, and looks whether the champion still serves.
func (l *Loop) lookAtService(ctx context.Context, force bool) error {
	if err := l.adoptServing(ctx); err != nil || l.monitor == nil {
		return err
	}
	// Read together: a run that ends in between has another champion. None begins while this loop is here.
	var row store.Model
	var is deployState
	err := l.o.Store.View(ctx, func(t *store.Tx) (err error) {
		if row, err = t.Model(l.name); err != nil {
			return err
		}
		is, err = l.readDeployState(t, row)
		return err
	})
	switch {
	case err != nil:
		return err
	case is.active: // it changes what serves, and proves it
		return nil
	case row.Champion != l.monitor.Release().Digest:
		l.monitor = nil
		return nil
	}
	return l.recheck(ctx, row, time.Now().UTC(), force, force)
}

// replay gives the monitor the changes that its tests have not seen, and counts those that nobody was told of: after a
// rebuild some are given again.
func (l *Loop) replay(ctx context.Context) (fresh arrivals, err error) {
	var told int64
	if err := l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(l.name)
		told = row.Applied
		return err
	}); err != nil {
		return fresh, err
	}
	for {
		var batch []store.Change
		if err := l.o.Store.View(ctx, func(t *store.Tx) (err error) {
			batch, err = t.Changes(l.name, l.after, replayBatch)
			return err
		}); err != nil || len(batch) == 0 {
			return fresh, err
		}
		for _, c := range batch {
			l.apply(c)
			if c.N > told {
				fresh.count(c)
			}
		}
		l.after = batch[len(batch)-1].N
		l.o.Beat()
	}
}

func (l *Loop) apply(c store.Change) {
	leave(l.relabels, c)
	switch watch.Op(c.Op) {
	case watch.OpDelete:
		l.monitor.Delete(c.Item, c.N)
	case watch.OpLabel:
		l.monitor.Label(drift.LabelChange{
			Item: c.Item, Old: c.Old, New: c.New, Own: isOwn(c), Author: c.Author, At: c.At,
			Seq: c.N,
		})
	default:
		l.monitor.Put(drift.LabelChange{
			Item: c.Item, Heldout: c.Heldout, TextHash: c.TextHash, Group: c.Group, New: c.New, Old: c.Old,
			Inserted: c.Old == nil,
			Own:      isOwn(c), Author: c.Author, At: c.At, Seq: c.N,
		})
	}
}

// nextTurn is when the loop must look again although nothing pokes it.
func (l *Loop) nextTurn(now time.Time, r drift.Report, d policy.Decision) time.Time {
	next := now.Add(24 * time.Hour)
	earlier := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	e := l.rules.Model.Policy.Evaluate
	if e.Every > 0 {
		earlier(now.Add(e.Every.D()))
	}
	earlier(l.rules.Policy.Scheduled(now))
	if r.Probation != nil {
		earlier(r.Probation.Until)
	}
	for _, b := range d.Blocked {
		earlier(b.Until)
	}
	for _, c := range d.Conditions {
		earlier(c.Trips)
	}
	if l.rules.Shadow != nil && l.shadow != nil && l.shadow.Last != nil {
		for _, b := range l.shadow.Last.Blocked {
			earlier(b.Until)
		}
		for _, c := range l.shadow.Last.Conditions {
			earlier(c.Trips)
		}
	}
	if s := l.suspected; r.Suspicion != nil && s.seq != r.Seq {
		earlier(s.again)
	}
	if l.reading() { // the end of it is no change of a label
		earlier(now.Add(time.Second))
	}
	if r.State == drift.StateAsleep || r.State == drift.StateError || r.State == drift.StateUnscored {
		earlier(now.Add(min(max(e.MaxWait.D(), time.Second), time.Minute)))
	}
	return next
}
