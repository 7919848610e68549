package status

import (
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/watch"
)

// Status is a snapshot of the daemon. At is in the zone of Timezone; other times may be in another zone.
type Status struct {
	At time.Time `json:"at"`
	// Timezone is the name of At's zone, which a time in JSON does not contain.
	Timezone string    `json:"timezone"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Config   Config    `json:"config"`
	Models   []Model   `json:"models"`
	// OutboxPending counts events that NATS has not acknowledged yet.
	OutboxPending int `json:"outbox_pending"`
}

// Config is the state of the configuration in force.
type Config struct {
	Path   string    `json:"path"`
	Digest string    `json:"digest"`
	Loaded time.Time `json:"loaded"`
	// Problem is why the last reload was refused; empty when the file on disk is in force.
	Problem string `json:"problem,omitempty"`
	// RestartNeeded names keys that changed and take effect at the next start.
	RestartNeeded []string `json:"restart_needed,omitempty"`
}

// Phase is the state of a model's watch, in one word; Model.Sentence describes it with figures.
type Phase string

// The phases, by increasing urgency.
const (
	Watching Phase = "watching" // nothing to do
	Asleep   Phase = "asleep"   // the service is unreachable, which serving.asleep allows
	Armed    Phase = "armed"    // a retrain is decided and waits for quiet hours, cooldown, budget or a person
	Paused   Phase = "paused"   // a person stopped automatic runs
	Running  Phase = "running"  // a run is in progress
	Held     Phase = "held"     // blocked until a person acts
	Foreign  Phase = "foreign"  // a model other than the champion is served
	Broken   Phase = "broken"   // a source, the service or the state does not work
)

// Model is one watched model.
type Model struct {
	Name  string `json:"name"`
	Phase Phase  `json:"phase"`
	// Sentence describes the state for a person: "waiting for quiet hours, which open 22:00 CET (in 4h12m)".
	Sentence string `json:"sentence"`
	// Release is the digest of the champion, empty before the first; Deployed is when it was deployed.
	Release  string    `json:"release,omitempty"`
	Deployed time.Time `json:"deployed,omitzero"`
	// Report is the last evaluation: accuracy, interval, baseline, counts. Nil before the first.
	Report *drift.Report `json:"report,omitempty"`
	// Floor is the accuracy below which the policy retrains; 0 if it has no such rule.
	Floor     float64   `json:"floor,omitempty"`
	Active    *Run      `json:"active,omitempty"`
	Last      *Run      `json:"last,omitempty"` // the last run that ended
	NextCheck time.Time `json:"next_check,omitzero"`
	Window    Window    `json:"window"`
	Held      *Pause    `json:"held,omitempty"`   // no run starts, not even on request
	Pauses    []Pause   `json:"pauses,omitempty"` // no run starts automatically
	Sources   []Source  `json:"sources"`
	Audit     Audit     `json:"audit"`
	// Scoring is the progress of classifying a large set of new texts; nil while there is none.
	Scoring *Scoring `json:"scoring,omitempty"`
	// Served is what the service really serves; nil before the first check.
	Served *Served `json:"served,omitempty"`
	// Caveat is why the accuracy of a release from before retraind's first deployment is unreliable; empty for others.
	Caveat string `json:"caveat,omitempty"`
	// Probation is the state of the release's probation; nil without one.
	Probation *Probation `json:"probation,omitempty"`
	// Shadow is what a second policy would decide; nil without one.
	Shadow *Shadow `json:"shadow,omitempty"`
}

// Probation is the test on new items that may still roll the release back.
type Probation struct {
	drift.OnProbation
	Text string `json:"text"` // in one sentence
}

// Shadow compares the policy in force with the shadow policy.
type Shadow struct {
	Since       time.Time `json:"since"`
	Differences int       `json:"differences"`
	// Decision is the outcome of the policy in force, Would that of the shadow: start, running, wait, hold, undecided.
	Decision string `json:"decision"`
	Would    string `json:"would"`
	// Differs reports whether the two outcomes differ now; Changed is when one of them last changed.
	Differs bool      `json:"differs"`
	Changed time.Time `json:"changed,omitzero"`
	Text    string    `json:"text"` // the shadow's sentence
}

// Audit is the last audit: a comparison of the figures with recomputed ones, and a check of the champion's files.
type Audit struct {
	At time.Time `json:"at,omitzero"` // zero before the first
	// Damage is what is wrong with the champion's files; empty if they are intact.
	Damage string `json:"damage,omitempty"`
	// Difference is what differed and has been corrected since; empty if nothing did.
	Difference string `json:"difference,omitempty"`
}

// Window is whether quiet hours allow a run to start now.
type Window struct {
	Open bool `json:"open"`
	// Changes is when the quiet hours next end or begin; zero if they never do.
	Changes time.Time `json:"changes,omitzero"`
}

// Source is the state of one source of labels.
type Source struct {
	Name string `json:"name"`
	watch.Health
}

// Scoring is how many of the new texts have been classified.
type Scoring struct {
	Done int `json:"done"`
	Of   int `json:"of"`
}
