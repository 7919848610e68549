package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/internal/faults"
)

// Ending is the result of restoring one entry.
type Ending string

// The endings. All but Owed remove the entry.
const (
	Restored  Ending = "restored"   // verified to run again
	LeftAlone Ending = "left_alone" // a person has started, removed or replaced it
	Kept      Ending = "kept"       // it was never stopped
	PassedOn  Ending = "passed_on"  // another run needs it stopped, and has an entry for it
	Owed      Ending = "owed"       // it does not run again yet
)

// Result is the ending of one entry, with the reason.
type Result struct {
	Entry  Entry  `json:"entry"`
	Ending Ending `json:"ending"`
	Detail string `json:"detail"`
	New    bool   `json:"-"` // the reason differs from the recorded one
}

// Order is what to restore, and how.
type Order struct {
	// Due returns why an entry is not due, "" if it is. With nil every entry is due.
	Due func(Entry) string
	// Patience is how long to wait for one thing to become healthy before the next one is started; 0 = 3 minutes.
	Patience time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

const restorePatience = 3 * time.Minute

// lookEvery is the pause between two checks of a thing that is starting.
const lookEvery = 250 * time.Millisecond

// Restore restores the due entries, the last stopped first. It returns the result of each due entry and the unreadable
// files with their reasons; the error is about the ledger itself.
func (l *Ledger) Restore(ctx context.Context, o Order) ([]Result, map[string]error, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Patience = cmp.Or(o.Patience, restorePatience)
	if entries, bad, err := l.Entries(); err != nil || len(entries)+len(bad) == 0 {
		return nil, bad, err // the usual case: no entry, so no lock is created
	}
	unlock, err := l.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	entries, bad, err := l.Entries()
	if err != nil {
		return nil, bad, err
	}
	err = l.quarantine(bad)
	var due, waiting []Entry
	for _, e := range entries {
		if o.Due == nil || o.Due(e) == "" {
			due = append(due, e)
		} else {
			waiting = append(waiting, e)
		}
	}
	var results []Result
	for _, e := range due {
		r := l.settle(ctx, e, waiting, o)
		if ctx.Err() != nil {
			return results, bad, context.Cause(ctx)
		}
		results = append(results, r)
	}
	return results, bad, err
}

// settle restores the thing of one entry, and removes the entry unless the ending is Owed.
func (l *Ledger) settle(ctx context.Context, e Entry, waiting []Entry, o Order) Result {
	ending, detail, err := l.bring(ctx, &e, waiting, o)
	if err == nil && ending != Owed {
		faults.Point("ledger:discharge")
		err = l.discharge(e)
		faults.Point("ledger:discharged")
	}
	if err != nil {
		ending, detail = Owed, err.Error()
	}
	fresh := ending == Owed && detail != e.Problem
	if fresh && ctx.Err() == nil {
		e.Problem = detail
		_ = l.put(e) // only for display: a failed write is harmless, since the entry exists
	}
	return Result{e, ending, detail, fresh}
}

// bring starts a thing, at most once, and checks it repeatedly until it is healthy or Patience is over.
func (l *Ledger) bring(ctx context.Context, e *Entry, waiting []Entry, o Order) (Ending, string, error) {
	if i := slices.IndexFunc(waiting, func(w Entry) bool { return w.Key() == e.Key() }); i >= 0 {
		return PassedOn, "run " + waiting[i].Run.ID + " needs it stopped", nil
	}
	h, err := l.hand(e.Kind)
	if err != nil {
		return Owed, "", err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	asked := false // whether this call has started it
	for deadline := o.Now().Add(o.Patience); ; {
		s, err := h.Look(ctx, e.Thing)
		if err != nil {
			return Owed, "", err
		}
		var missing string
		switch s.Standing {
		case Gone:
			return LeftAlone, "it cannot run any more, and is left alone: " + s.Detail, nil
		case Exchanged:
			return LeftAlone, "it was replaced meanwhile, and is left alone: " + s.Detail, nil
		case Untouched, Again:
			switch {
			case !e.Back.IsZero():
				if missing = l.missing(ctx, s, e.Thing); missing == "" {
					return Restored, restored(s, o.Now().Sub(e.Stopped)), nil
				}
			case s.Standing == Again:
				return LeftAlone, "it was started meanwhile, and is left alone", nil
			case o.Now().Before(e.Settled):
				missing = "its stop may still be in progress"
			default:
				return Kept, "it was not stopped", nil
			}
		case Off, Leaving:
			missing = cmp.Or(s.Detail, "it does not run")
			if asked {
				break
			}
			asked = true
			if err := l.start(ctx, h, e, o.Now()); err != nil {
				return Owed, "", err
			}
			continue
		default:
			return Owed, "", fmt.Errorf("unknown standing %q", s.Standing)
		}
		if !o.Now().Before(deadline) {
			return Owed, fmt.Sprintf("not healthy after %s: %s", o.Patience, missing), nil
		}
		select {
		case <-ctx.Done():
			return Owed, "", context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func restored(s State, after time.Duration) string {
	text := "it runs again, after " + after.Round(time.Second).String()
	if s.Detail != "" {
		text += "; " + s.Detail
	}
	return text
}

// start records in the entry that the restore has begun, so that a later process does not mistake this start for one by
// a person. Then it starts the thing.
func (l *Ledger) start(ctx context.Context, h Hand, e *Entry, now time.Time) error {
	if e.Back.IsZero() {
		e.Back = now
		// On a full disk the restore continues: the entry is already stored, and only this mark is lost.
		if err := l.put(*e); err != nil && !durable.DiskFull(err) {
			return err
		}
		faults.Point("ledger:back")
	}
	if err := h.Start(ctx, e.Thing); err != nil {
		return fmt.Errorf("start %s: %w", e.Thing, err)
	}
	faults.Point("ledger:started")
	return nil
}

func (l *Ledger) missing(ctx context.Context, s State, t Thing) string {
	if !s.Ready {
		return cmp.Or(s.Detail, "it is starting")
	}
	return healthy(ctx, t.Healthy)
}
