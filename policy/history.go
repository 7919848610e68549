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

// RunFact is the part of an earlier run that decisions use.
type RunFact struct {
	ID      string
	Started time.Time
	Ended   time.Time // zero while it runs
	Outcome Outcome
	Forced  bool
	Info    string // digest of the labels it trained on
	Code    string // digest of its steps and the files that they name; "" if unknown
	// Why is the reason why a run changed nothing, such as not_worse if the gate kept the champion, gpu_held if the GPU
	// was in use, window_… if the quiet hours ended before the run did, budget if a step used up its budget for one night.
	Why    Reason
	Text   string // how it ended, in one sentence
	Undoes string // id of the run whose promotion it undid, for a rollback run
	// Untrained: the run failed before it trained anything, for example in an export while the database was unreachable.
	// Neither the breaker nor the budget counts such a run, and a short pause replaces its cooldown.
	Untrained bool
}

// undone reports whether a later run rolled back the release that this run promoted.
func (h *History) undone(run *RunFact) bool {
	for i := range h.Runs {
		if h.Runs[i].Undoes == run.ID && h.Runs[i].Outcome == OutcomeRolledBack {
			return true
		}
	}
	return false
}

// continued reports whether the run stopped because the quiet hours ended or a step had used up its budget for one
// night. The next run resumes it; the two count as one, so breaker, budget and cooldown ignore the stopped run.
func (r *RunFact) continued() bool {
	return r.Outcome == OutcomeBlocked &&
		(r.Why == ReasonWindowClosed || r.Why == ReasonWindowTooShort || r.spentNight())
}

// spentNight reports whether the run ended because a step had used up its budget for one night.
func (r *RunFact) spentNight() bool { return r.Outcome == OutcomeBlocked && r.Why == ReasonBudget }

// Hold describes a hold or a pause: who set it, why, and until when. During a hold no run starts; during a pause only a
// forced run does.
type Hold struct {
	By     string
	Reason string
	Since  time.Time
	Until  time.Time // zero: until it is ended by hand
}

// Holds reports whether the hold prevents runs from starting now; a nil Hold does not.
func (h *Hold) Holds(now time.Time) bool {
	return h != nil && (h.Until.IsZero() || now.Before(h.Until))
}

// Force is a person's request to retrain now.
type Force struct {
	By     string
	Reason string
}

// History is the part of the stored past that decisions use.
type History struct {
	Runs []RunFact // newest first
	Info string    // digest of the present labels; empty if unknown
	// Code is the digest of the present steps of the next run and of the files that they name; empty if not needed.
	// CodeOf maps each pipeline that a condition names to its digest.
	Code    string
	CodeOf  map[string]string
	Active  string // id of a run of this model that has not ended
	Held    *Hold  // hold of this model: no run starts until a person has checked it
	Paused  *Hold  // pause of this model: no run starts automatically
	Stopped *Hold  // pause of all models: no run starts automatically
	Force   *Force
	// Last is the previous decision, nil if there is none. Its conditions record since when they have been breached,
	// and which of them clear only beyond their margin.
	Last *Decision
	// Reading: a source is still in its first read, so the labels may be incomplete.
	Reading bool
	// Probation is the state of the serving release's probation; nil if there is none.
	Probation *Trial
	// Mended are conditions, by Condition.Key, that are judged but do not make a retrain due, because a backtest
	// assumes that a simulated retrain fixed them.
	Mended map[string]bool
	// Needs is the expected duration of the next run; 0 if unknown. NeedsOf maps each pipeline that a condition names
	// to its expected duration.
	Needs   time.Duration
	NeedsOf map[string]time.Duration
}
