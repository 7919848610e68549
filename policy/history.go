package policy

import "time"

// Outcome is how a run ended.
type Outcome string

// The outcomes of a run.
const (
	OutcomePromoted   Outcome = "promoted"
	OutcomeRejected   Outcome = "rejected"
	OutcomeRolledBack Outcome = "rolled_back"
	OutcomeFailed     Outcome = "failed"
	OutcomeCancelled  Outcome = "cancelled"
	OutcomeBlocked    Outcome = "blocked"
)

// RunFact is what a decision needs to know about an earlier run.
type RunFact struct {
	ID      string
	Started time.Time
	Ended   time.Time // zero while it runs
	Outcome Outcome
	Forced  bool
	Info    string // digest of the labels it trained on
	Code    string // digest of its steps and of the files that they name; "" where none was recorded
	// Why is the reason of a run that did nothing: not_worse where the gate kept the champion, gpu_held where it did not
	// get the GPU, window_… where the quiet hours ended.
	Why    Reason
	Text   string // how it ended, in one sentence
	Undoes string // id of the run whose promotion it took back, of a run that was nothing else
	// Untrained: it failed before it trained anything, such as by an export while the database was away. No limit counts it.
	Untrained bool
}

// undone says that a later run took back what this one promoted.
func (h *History) undone(run *RunFact) bool {
	for i := range h.Runs {
		if h.Runs[i].Undoes == run.ID && h.Runs[i].Outcome == OutcomeRolledBack {
			return true
		}
	}
	return false
}

// goesOn says that the run ended with the quiet hours and that the next one goes on where it was: it is a part of that
// one, and no limit counts it.
func (r *RunFact) goesOn() bool {
	return r.Outcome == OutcomeBlocked && (r.Why == ReasonWindowClosed || r.Why == ReasonWindowTooShort)
}

// Hold keeps runs from starting.
type Hold struct {
	By     string
	Reason string
	Since  time.Time
	Until  time.Time // zero: until somebody ends it
}

// Holds says whether it keeps runs from starting now; nil does not.
func (h *Hold) Holds(now time.Time) bool {
	return h != nil && (h.Until.IsZero() || now.Before(h.Until))
}

// Force is a person's request to retrain now.
type Force struct {
	By     string
	Reason string
}

// History is what happened before, as the store knows it.
type History struct {
	Runs    []RunFact // newest first
	Info    string    // digest of the labels as they are now; empty where unknown
	Code    string    // digest of the steps that would run now and of the files that they name; empty where not needed
	Active  string    // id of a run of this model that has not ended
	Held    *Hold     // this model, for safety: until a person has looked
	Paused  *Hold     // this model: no run starts by itself
	Stopped *Hold     // every model: no run starts by itself
	Force   *Force
	// Last is the decision before. Its conditions say since when they are breached, and which clear only beyond their
	// margin; nil starts anew.
	Last *Decision
	// Reading: a source is still reading for the first time what is there, so that the labels may be a part of them.
	Reading bool
	// Probation is how the serving release does on it; nil where it is on none.
	Probation *Trial
	// Mended are conditions, by Condition.Key, that are judged and call for nothing: a backtest takes them to be mended by a
	// retrain that the record does not have.
	Mended map[string]bool
	// Needs is how long the next run is expected to take; 0 where unknown. NeedsOf is the same of the pipelines that
	// conditions ask for.
	Needs   time.Duration
	NeedsOf map[string]time.Duration
}
