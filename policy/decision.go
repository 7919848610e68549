package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/retraind/retraind/drift"
)

// Verdict is what a decision comes to.
type Verdict string

// The verdicts. Retrain with something in Blocked is an armed decision: it waits as data until nothing blocks it.
const (
	VerdictHold         Verdict = "hold"
	VerdictRetrain      Verdict = "retrain"
	VerdictInconclusive Verdict = "inconclusive"
	// VerdictRollback takes the release back that failed its probation.
	VerdictRollback Verdict = "rollback"
)

// State is what a condition says about the model.
type State string

// The states of a condition: the model passes, it fails (the condition trips), or there is too little to tell.
const (
	StatePass         State = "pass"
	StateFail         State = "fail"
	StateInconclusive State = "inconclusive"
)

// Reason says why there is no action, or why a release is taken back. The list is closed: records and metric labels use
// nothing else.
type Reason string

// The reasons. Those from gpu_held on are found by other packages, which name them with these words.
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
	ReasonNotWorse Reason = "not_worse"
	// The candidate and what serves cannot be told apart: a deployment of it could not be proved.
	ReasonIndistinguishable Reason = "indistinguishable"
	// Something else than the champion serves.
	ReasonForeign          Reason = "foreign"
	ReasonSelfOrigin       Reason = "self_origin"
	ReasonSuspiciousLabels Reason = "suspicious_labels"

	// A release failed its probation and is rolled back, or there is nothing to roll back to.
	ReasonProbationFailed Reason = "probation_failed"
	ReasonNoFormerRelease Reason = "no_former_release"
)

// Reasons lists all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonNothingTripped, ReasonInsufficientData, ReasonServiceAsleep, ReasonEvaluationFailed, ReasonRunActive,
		ReasonHeld, ReasonPaused,
		ReasonBreakerOpen, ReasonNoNewInformation, ReasonCooldown, ReasonBudget, ReasonWindowClosed, ReasonWindowTooShort,
		ReasonGPUHeld, ReasonNotWorse, ReasonIndistinguishable, ReasonForeign, ReasonSelfOrigin, ReasonSuspiciousLabels,
		ReasonProbationFailed, ReasonNoFormerRelease,
	}
}

// Decision is a verdict over one report with everything that led to it.
type Decision struct {
	At      time.Time `json:"at"`
	Model   string    `json:"model"`
	Verdict Verdict   `json:"verdict"`
	// Urgent: need not wait for quiet hours.
	Urgent bool `json:"urgent,omitempty"`
	// Forced: a person asked for it; thresholds and limits were not asked.
	Forced bool `json:"forced,omitempty"`
	// Pipeline is the one that a condition that trips asks for; empty for the usual one.
	Pipeline string `json:"pipeline,omitempty"`
	// Reason is empty exactly when a retrain may start now, else the first thing in its way; probation_failed when a
	// rollback starts.
	Reason Reason `json:"reason,omitempty"`
	// Text is the decision in one sentence.
	Text       string      `json:"text"`
	Conditions []Condition `json:"conditions"`
	// Blocked lists everything that keeps a retrain from starting now, whether or not one is wanted.
	Blocked      []Blocker `json:"blocked,omitempty"`
	PolicyDigest string    `json:"policy_digest"`
	Release      string    `json:"release,omitempty"`
	Seq          int64     `json:"seq"` // last label change in the report
	// Targets are the report's figures of the targets that do not gate: shown, never decided on.
	Targets []drift.TargetFigures `json:"targets,omitempty"`
	// WindowNext is when the quiet hours open next; zero where they are open now or never close.
	WindowNext time.Time `json:"window_next,omitzero"`
}

// Start says that a retrain may start now.
func (d Decision) Start() bool { return d.Verdict == VerdictRetrain && len(d.Blocked) == 0 }

// Armed says that a retrain is wanted and waits.
func (d Decision) Armed() bool { return d.Verdict == VerdictRetrain && len(d.Blocked) > 0 }

// RollsBack says that the release is to be taken back now.
func (d Decision) RollsBack() bool { return d.Verdict == VerdictRollback && len(d.Blocked) == 0 }

// Doing is a decision in one word.
type Doing string

// The doings.
const (
	DoingStart     Doing = "start"     // a run begins
	DoingRunning   Doing = "running"   // a run is under way
	DoingWait      Doing = "wait"      // a retrain is wanted and something stands in the way
	DoingHold      Doing = "hold"      // no retrain is wanted
	DoingUndecided Doing = "undecided" // nothing can be concluded
)

// Doing is the decision in one word.
func (d *Decision) Doing() Doing {
	switch {
	case d.Start():
		return DoingStart
	case slices.ContainsFunc(d.Blocked, func(b Blocker) bool { return b.Reason == ReasonRunActive }):
		return DoingRunning
	case d.Armed():
		return DoingWait
	case d.Verdict == VerdictInconclusive || d.Reason == ReasonServiceAsleep || d.Reason == ReasonEvaluationFailed:
		return DoingUndecided
	}
	return DoingHold
}

// Condition is one threshold as it was judged. Value and Bound are in Unit; Distance is how far the value is from
// tripping, negative beyond the bound.
type Condition struct {
	Name   string `json:"name"`   // "accuracy_below", "category_recall_below.sport"
	Config string `json:"config"` // where it is configured: "retrain_when.accuracy_below"
	State  State  `json:"state"`
	// Tripped: it calls for a retrain; that of the probation for a rollback.
	Tripped bool `json:"tripped"`
	// Breached: the value is beyond the bound, though the evidence may not suffice.
	Breached bool    `json:"breached,omitempty"`
	Value    float64 `json:"value"`
	Bound    float64 `json:"bound"`
	Distance float64 `json:"distance"`
	// Unit is share (a fraction), points, labels, items, psi, hours, e_value, or empty for a yes or no.
	Unit Unit `json:"unit,omitempty"`
	// Labels is how many more labels of the kind that hurts would trip it, 0 if tripped, -1 where that cannot be told.
	Labels int `json:"labels"`
	// Since is when it was first seen beyond its bound, without a break; zero where it is not.
	Since time.Time `json:"since,omitzero"`
	// Trips is when it trips if the breach lasts; zero where it does not wait for that.
	Trips time.Time `json:"trips,omitzero"`
	// Latched: it tripped, and clears only beyond its margin.
	Latched bool   `json:"latched,omitempty"`
	Text    string `json:"text"`
}

// Key names the condition among those of a decision: where it is configured, or its name.
func (c *Condition) Key() string { return cmp.Or(c.Config, c.Name) }

// Unit is what a condition's numbers count.
type Unit string

// The units.
const (
	UnitShare  Unit = "share"
	UnitPoints Unit = "points"
	UnitLabels Unit = "labels"
	UnitPSI    Unit = "psi"
	UnitHours  Unit = "hours"
	UnitNone   Unit = ""

	UnitEvidence Unit = "e_value" // of a sequential test: 1 says nothing, 20 is a level of 5 %
)

// Blocker is one thing that keeps a retrain from starting.
type Blocker struct {
	Reason Reason `json:"reason"`
	// Until is when it ends by itself; zero where it needs an event: new labels, a person, the end of a run.
	Until time.Time `json:"until,omitzero"`
	Text  string    `json:"text"`
}
