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
	replayBatch = 2000 // changes passed to the monitor between two heartbeats
	// handOverEvery is how often a queued run is passed to the engine again. The engine refuses it until the previous
	// run has ended.
	handOverEvery = time.Second
)

// evaluate runs one iteration of the loop. It replays new changes, scores unscored texts, reports, decides, and starts
// a run if that is the verdict. It records report and decision if `record` is true or if something is new. It returns
// the time by which the next iteration is due.
func (l *Loop) evaluate(ctx context.Context, record bool) (next time.Time, err error) {
	defer func() {
		if err != nil {
			l.monitor = nil // it has seen changes that were not recorded: rebuild it and replay them
		}
	}()
	l.o.Labels.CheckTestSet()
	if l.o.Labels.TakeRenamed() {
		l.monitor = nil // it has items under their old ids
	}
	before := l.seen()
	var fresh arrivals
	if err := l.catchUp(ctx, &fresh); err != nil {
		return time.Time{}, err
	}
	if err := l.lookAtService(ctx, record); err != nil {
		return time.Time{}, err
	}
	if l.monitor == nil { // the champion, its baseline or its answers have changed: rebuild it and replay the changes
		if err := l.catchUp(ctx, &fresh); err != nil {
			return time.Time{}, err
		}
	}
	scored := 0
	if l.serving == nil || l.serving.Foreign == nil {
		if scored, err = l.score(ctx); err != nil {
			return time.Time{}, err
		}
		switch done, err := l.gateChanged(ctx); {
		case errors.Is(err, errStale):
			l.monitor = nil
			return time.Now(), nil
		case err != nil:
			return time.Time{}, err
		case done:
			l.monitor, record = nil, true
			if err := l.catchUp(ctx, &fresh); err != nil {
				return time.Time{}, err
			}
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
	switch {
	case d.Start():
		err, queued = l.start(ctx, d, h), true
	case d.RollsBack():
		err, queued = l.rollback(ctx, d), true
	}
	switch {
	case errors.Is(err, errOutdated):
		return now, nil // decide again
	case errors.Is(err, errStale):
		l.monitor = nil
		return now, nil
	case err != nil:
		return time.Time{}, err
	}
	next = l.nextTurn(now, report, d, h.Reading)
	if soon := now.Add(handOverEvery); queued && soon.Before(next) {
		next = soon
	}
	return next, nil
}

// seen returns the sequence number of the last change in the monitor, or -1 before the monitor is built.
func (l *Loop) seen() int64 {
	if l.monitor == nil {
		return -1
	}
	return l.monitor.Seq()
}

// catchUp builds the monitor if there is none, and passes it the new changes. It counts changes in fresh.
func (l *Loop) catchUp(ctx context.Context, fresh *arrivals) error {
	if l.monitor == nil {
		if err := l.load(ctx); err != nil {
			return err
		}
	}
	return l.replay(ctx, fresh)
}

// lookAtService adopts the serving release if retraind has deployed none yet, and checks that the champion still
// serves.
func (l *Loop) lookAtService(ctx context.Context, force bool) error {
	if err := l.adoptServing(ctx); err != nil || l.monitor == nil {
		return err
	}
	// Read the champion and the newest run in one transaction: a run that ends between two reads would change the
	// champion. No run starts during this function.
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
	case is.active: // the run changes the serving release, and proves it
		return nil
	case row.Champion != l.monitor.Release().Digest:
		l.monitor = nil
		return nil
	}
	if err := l.nameGate(ctx, row); err != nil {
		return err
	}
	return l.recheck(ctx, row, time.Now().UTC(), force, force)
}

// replay passes to the monitor the changes that its tests have not seen, and counts in fresh the changes that no event
// has reported yet. Each of the two may be ahead of the other: after a rebuild of the monitor some changes are passed
// again, and the baseline of an adopted release includes changes that were not reported.
func (l *Loop) replay(ctx context.Context, fresh *arrivals) error {
	if err := l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(l.name)
		fresh.last = max(fresh.last, row.Applied)
		return err
	}); err != nil {
		return err
	}
	for {
		var batch []store.Change
		if err := l.o.Store.View(ctx, func(t *store.Tx) (err error) {
			batch, err = t.Changes(l.name, min(l.after, fresh.last), replayBatch)
			return err
		}); err != nil || len(batch) == 0 {
			return err
		}
		for _, c := range batch {
			if c.N > l.after {
				l.apply(c)
				l.after = c.N
			}
			if c.N > fresh.last {
				fresh.count(c)
			}
		}
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

// nextTurn returns the time at which the loop must run again even without an event.
func (l *Loop) nextTurn(now time.Time, r drift.Report, d policy.Decision, reading bool) time.Time {
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
	if !l.planned.IsZero() && !l.planned.After(now) { // it became due during this evaluation
		return now
	}
	earlier(l.planned)
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
	if reading { // poll: the end of the first read is no label change and does not wake the loop
		earlier(now.Add(time.Second))
	}
	if r.State == drift.StateAsleep || r.State == drift.StateError || r.State == drift.StateUnscored {
		earlier(now.Add(min(max(e.MaxWait.D(), time.Second), time.Minute)))
	}
	return next
}
