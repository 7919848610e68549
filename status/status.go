package status

import (
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/watch"
)

// Status is the daemon at one instant. Times carry the zone that people are shown.
type Status struct {
	At time.Time `json:"at"`
	// Timezone is the zone of At by its name, which a time in JSON does not carry.
	Timezone string    `json:"timezone"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Config   Config    `json:"config"`
	Models   []Model   `json:"models"`
	// OutboxPending counts notifications that NATS has not taken yet.
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

// Phase is what a model's watch is doing, in one word; Model.Sentence says the same with figures.
type Phase string

// The phases, from quiet to loud.
const (
	Watching Phase = "watching" // nothing to do
	Asleep   Phase = "asleep"   // the service is away and may be
	Armed    Phase = "armed"    // a retrain is decided and waits: for quiet hours, cooldown, budget or a person
	Paused   Phase = "paused"   // a person stopped what would start by itself
	Running  Phase = "running"  // a run is in progress
	Held     Phase = "held"     // something stands in the way that a person must clear
	Foreign  Phase = "foreign"  // something else than the champion serves
	Broken   Phase = "broken"   // a source, the service or the state cannot be relied on
)

// Model is one model under watch.
type Model struct {
	Name  string `json:"name"`
	Phase Phase  `json:"phase"`
	// Sentence is the state for a person: "waiting for quiet hours, which open 22:00 CET (in 4h12m)".
	Sentence string `json:"sentence"`
	// Release is the digest of what serves, empty before the first; Deployed is since when.
	Release  string    `json:"release,omitempty"`
	Deployed time.Time `json:"deployed,omitzero"`
	// Report is the last evaluation: accuracy, interval, baseline, counts. Nil before the first.
	Report *drift.Report `json:"report,omitempty"`
	// Floor is the accuracy below which the policy retrains; 0 where it names none.
	Floor     float64   `json:"floor,omitempty"`
	Active    *Run      `json:"active,omitempty"`
	Last      *Run      `json:"last,omitempty"` // the last run that ended
	NextCheck time.Time `json:"next_check,omitzero"`
	Window    Window    `json:"window"`
	Held      *Pause    `json:"held,omitempty"`   // no run starts, not even on request
	Pauses    []Pause   `json:"pauses,omitempty"` // no run starts by itself
	Sources   []Source  `json:"sources"`
	Audit     Audit     `json:"audit"`
	// Scoring is how far the classifier is with a large set of unseen texts; nil while none is asked about.
	Scoring *Scoring `json:"scoring,omitempty"`
	// Served is what the service really serves; nil before the first look.
	Served *Served `json:"served,omitempty"`
	// Adopted says what is wrong with the accuracy of a release that served before retraind first deployed; empty for others.
	Caveat string `json:"caveat,omitempty"`
	// Probation is how the release does on it; nil where it is on none.
	Probation *Probation `json:"probation,omitempty"`
	// Shadow is what a second policy would decide; nil where none is configured.
	Shadow *Shadow `json:"shadow,omitempty"`
}

// Probation is the test of new items that may still take the release back.
type Probation struct {
	drift.OnProbation
	Text string `json:"text"` // in one sentence
}

// Shadow compares the policy in force with one that only decides beside it.
type Shadow struct {
	Since       time.Time `json:"since"`
	Differences int       `json:"differences"`
	// Decision is what the policy in force comes to, Would what the shadow does: start, running, wait, hold, undecided.
	Decision string `json:"decision"`
	Would    string `json:"would"`
	// Differs says whether the two come to different things now; Changed is since when.
	Differs bool      `json:"differs"`
	Changed time.Time `json:"changed,omitzero"`
	Text    string    `json:"text"` // the shadow's sentence
}

// Audit is the last comparison of the figures that are kept with the same computed anew.
type Audit struct {
	At time.Time `json:"at,omitzero"` // zero before the first
	// Damage is what is wrong with the champion's files; empty when nothing is.
	Damage string `json:"damage,omitempty"`
	// Difference is what differed; the figures are right again since, and empty when nothing did.
	Difference string `json:"difference,omitempty"`
}

// Window says whether a run may start now.
type Window struct {
	Open bool `json:"open"`
	// Changes is when it closes or opens next; zero when it never does.
	Changes time.Time `json:"changes,omitzero"`
}

// Source is one place where labels come from.
type Source struct {
	Name string `json:"name"`
	watch.Health
}

// Scoring is how many unseen texts were answered, of how many.
type Scoring struct {
	Done int `json:"done"`
	Of   int `json:"of"`
}
