package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/retraind/retraind/drift"
)

// Verdict is the outcome of a decision.
type Verdict string

// The verdicts. A retrain with a non-empty Blocked is an armed decision: it is stored, and starts when nothing blocks
// it.
const (
	VerdictHold         Verdict = "hold"
	VerdictRetrain      Verdict = "retrain"
	VerdictInconclusive Verdict = "inconclusive"
	// VerdictRollback rolls back the release that failed its probation.
	VerdictRollback Verdict = "rollback"
)

// State is the result of judging a condition.
type State string

// The states of a condition: pass, fail (the condition trips), or inconclusive (too little data or evidence, or a
// breach that has not lasted long enough).
const (
	StatePass         State = "pass"
	StateFail         State = "fail"
	StateInconclusive State = "inconclusive"
)

// Reason is why nothing starts, or why a release is rolled back. Records and metric labels use no other values.
type Reason string

// The reasons. Those from gpu_held to indistinguishable are results of runs, which other packages set; gpu_held also
// blocks the next run.
const (
	ReasonNothingTripped   Reason = "nothing_tripped"
	ReasonInsufficientData Reason = "insufficient_data"
	ReasonServiceAsleep    Reason = "service_asleep"
	ReasonEvaluationFailed Reason = "evaluation_failed"
	ReasonRunActive        Reason = "run_active"
	ReasonHeld             Reason = "held"
	ReasonPaused           Reason = "paused"
	ReasonBreakerOpen      Reason = "breaker_open"
	ReasonNoNewInformation Reason = "no_new_information"
	ReasonCooldown         Reason = "cooldown"
	ReasonBudget           Reason = "budget"
	ReasonWindowClosed     Reason = "window_closed"
	ReasonWindowTooShort   Reason = "window_too_short"

	ReasonGPUHeld  Reason = "gpu_held"
	ReasonDiskFull Reason = "disk_full"
	ReasonNotWorse Reason = "not_worse"
	// The candidate and the serving release give the same answers: a deployment could not be proved.
	ReasonIndistinguishable Reason = "indistinguishable"
	// The service answers as something other than the champion.
	ReasonForeign          Reason = "foreign"
	ReasonSelfOrigin       Reason = "self_origin"
	ReasonSuspiciousLabels Reason = "suspicious_labels"

	// A release failed its probation and is rolled back, or cannot be rolled back.
	ReasonProbationFailed Reason = "probation_failed"
	ReasonNoFormerRelease Reason = "no_former_release"
)

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonNothingTripped, ReasonInsufficientData, ReasonServiceAsleep, ReasonEvaluationFailed, ReasonRunActive,
		ReasonHeld, ReasonPaused,
		ReasonBreakerOpen, ReasonNoNewInformation, ReasonCooldown, ReasonBudget, ReasonWindowClosed, ReasonWindowTooShort,
		ReasonGPUHeld, ReasonDiskFull, ReasonNotWorse, ReasonIndistinguishable, ReasonForeign, ReasonSelfOrigin, ReasonSuspiciousLabels,
		ReasonProbationFailed, ReasonNoFormerRelease,
	}
}

// Decision is the verdict on one report, with everything that led to it.
type Decision struct {
	At      time.Time `json:"at"`
	Model   string    `json:"model"`
	Verdict Verdict   `json:"verdict"`
	// Urgent: it need not wait for quiet hours.
	Urgent bool `json:"urgent,omitempty"`
	// Forced: a person requested it; thresholds and limits were skipped.
	Forced bool `json:"forced,omitempty"`
	// Pipeline is the pipeline of the first tripped condition that names one; empty for the default.
	Pipeline string `json:"pipeline,omitempty"`
	// Reason is empty if a retrain may start now, and probation_failed if a rollback starts. Otherwise it is why nothing
	// starts: the first blocker of a retrain or rollback that is due, or why none is due.
	Reason Reason `json:"reason,omitempty"`
	// Text is the decision in one sentence.
	Text       string      `json:"text"`
	Conditions []Condition `json:"conditions"`
	// Baseline is why the figures are compared with a baseline that was measured again, not with that of the
	// promotion.
	Baseline string `json:"baseline,omitempty"`
	// Blocked lists everything that prevents a retrain from starting now, whether or not one is due. If a rollback is due,
	// it lists what prevents that instead.
	Blocked      []Blocker `json:"blocked,omitempty"`
	PolicyDigest string    `json:"policy_digest"`
	Release      string    `json:"release,omitempty"`
	Seq          int64     `json:"seq"` // last label change in the report
	// Targets are the report's figures of the targets that do not gate: shown, but not used for decisions.
	Targets []drift.TargetFigures `json:"targets,omitempty"`
	// WindowNext is when the quiet hours open next. It is zero if they are open now, never open again or are not
	// configured, and for a forced retrain or a rollback.
	WindowNext time.Time `json:"window_next,omitzero"`
}

// Start reports whether a retrain may start now.
func (d Decision) Start() bool { return d.Verdict == VerdictRetrain && len(d.Blocked) == 0 }

// Armed reports whether a retrain is due but blocked.
func (d Decision) Armed() bool { return d.Verdict == VerdictRetrain && len(d.Blocked) > 0 }

// RollsBack reports whether a rollback may start now.
func (d Decision) RollsBack() bool { return d.Verdict == VerdictRollback && len(d.Blocked) == 0 }

// Doing summarizes a decision in one word.
type Doing string

// The values of Doing.
const (
	DoingStart     Doing = "start"     // a run begins
	DoingRunning   Doing = "running"   // a run is active
	DoingWait      Doing = "wait"      // a retrain is due and blocked
	DoingHold      Doing = "hold"      // no retrain is due
	DoingUndecided Doing = "undecided" // no decision is possible
)

// Doing returns the decision in one word.
func (d *Decision) Doing() Doing {
	switch {
	case d.Start():
		return DoingStart
	case slices.ContainsFunc(d.Blocked, func(b Blocker) bool { return b.Reason == ReasonRunActive }):
		return DoingRunning
	case d.Armed():
		return DoingWait
	case d.Verdict == VerdictInconclusive || d.Reason == ReasonServiceAsleep || d.Reason == ReasonEvaluationFailed ||
		d.Reason == ReasonForeign:
		return DoingUndecided
	}
	return DoingHold
}

// Condition is one judged threshold. Value and Bound are in Unit. Distance is how far Value is from Bound, negative if
// Value is beyond Bound.
type Condition struct {
	Name   string `json:"name"`   // "accuracy_below", "category_recall_below.sport"
	Config string `json:"config"` // its configuration path: "retrain_when.accuracy_below"
	State  State  `json:"state"`
	// Tripped: it makes a retrain due, or a rollback if it is the condition of the probation.
	Tripped bool `json:"tripped"`
	// Breached: the value is beyond the bound, even if the evidence does not suffice.
	Breached bool    `json:"breached,omitempty"`
	Value    float64 `json:"value"`
	Bound    float64 `json:"bound"`
	Distance float64 `json:"distance"`
	// Unit is share (a fraction), points, labels, psi, hours, e_value, or empty for a yes or no.
	Unit Unit `json:"unit,omitempty"`
	// Labels is the least number of further labels that would trip it; 0 if no more are needed, -1 if unknown or if no
	// number of them suffices.
	Labels int `json:"labels"`
	// Since is when decisions first saw its present breach, with enough evidence; zero if there is none.
	Since time.Time `json:"since,omitzero"`
	// Trips is when it will trip if the breach lasts; zero unless it waits for the end of its `for`.
	Trips time.Time `json:"trips,omitzero"`
	// Latched: it tripped, and clears only beyond its margin.
	Latched bool   `json:"latched,omitempty"`
	Text    string `json:"text"`
}

// Key returns what identifies the condition within a decision: its configuration path, or its name if it has none.
func (c *Condition) Key() string { return cmp.Or(c.Config, c.Name) }

// Unit is the unit of a condition's numbers.
type Unit string

// The units.
const (
	UnitShare  Unit = "share"
	UnitPoints Unit = "points"
	UnitLabels Unit = "labels"
	UnitPSI    Unit = "psi"
	UnitHours  Unit = "hours"
	UnitNone   Unit = ""

	UnitEvidence Unit = "e_value" // of a sequential test: 1 is no evidence, 20 corresponds to a level of 5%
)

// Blocker is one reason why a retrain, or a rollback that is due, may not start.
type Blocker struct {
	Reason Reason `json:"reason"`
	// Until is when it ends by itself; zero if it needs an event: new labels, a person, the end of a run.
	Until time.Time `json:"until,omitzero"`
	Text  string    `json:"text"`
}
