package notify

import "time"

// Metrics is an accuracy, with its interval and the number of items it was measured on. Shares are fractions in [0, 1].
type Metrics struct {
	Accuracy float64 `json:"accuracy"`           // share of right answers
	Low      float64 `json:"low"`                // 95 % interval
	High     float64 `json:"high"`               // 95 % interval
	MacroF1  float64 `json:"macro_f1,omitempty"` // mean F1 of the categories
	N        int     `json:"n"`                  // held-out items
}

// Artifact describes where a release's files are and how to check them.
type Artifact struct {
	URI    string `json:"uri"`    // directory, as file://
	SHA256 string `json:"sha256"` // digest over its files
	Size   int64  `json:"size"`   // bytes
}

// Deployed contains everything that a subscriber needs to know about a deploy. Release is the digest of the new serving
// release.
type Deployed struct {
	Model    string   `json:"model"`              // name of the model
	Release  string   `json:"release"`            // digest of what serves now
	Previous string   `json:"previous,omitempty"` // digest of what it replaced
	Artifact Artifact `json:"artifact"`           // where its files are
	// Before is the previous release on the same held-out items; absent with a first release.
	Before *Metrics `json:"before,omitempty"`
	After  *Metrics `json:"after,omitempty"` // the release on the held-out items
	// LabelWatermark is the last label change in the release's training data.
	LabelWatermark int64  `json:"label_watermark"`
	Reason         string `json:"reason"` // why it was trained, in one sentence
	Run            string `json:"run"`    // id of the run
}

// Gate is one check of a candidate.
type Gate struct {
	Name    string `json:"name"`             // not_worse, better or point
	Verdict string `json:"verdict"`          // pass, fail, inconclusive, error
	Detail  string `json:"detail,omitempty"` // the figures, in one sentence
}

// Rejected explains why a candidate did not become the champion.
type Rejected struct {
	Model    string   `json:"model"`            // name of the model
	Release  string   `json:"release"`          // the candidate
	Champion string   `json:"champion"`         // the release that keeps serving
	Before   *Metrics `json:"before,omitempty"` // the champion on the held-out items
	After    *Metrics `json:"after,omitempty"`  // the candidate on the same items
	Gates    []Gate   `json:"gates,omitempty"`  // the checks that decided
	Reason   string   `json:"reason"`           // why it was refused, in one sentence
	Run      string   `json:"run"`              // id of the run
}

// RolledBack reports that an earlier release serves again. Release is the digest of that release.
type RolledBack struct {
	Model    string   `json:"model"`    // name of the model
	Release  string   `json:"release"`  // digest of what serves again
	Failed   string   `json:"failed"`   // the release that was rolled back
	Artifact Artifact `json:"artifact"` // where its files are
	Reason   string   `json:"reason"`   // why it was rolled back, in one sentence
	Run      string   `json:"run"`      // id of the run
}

// Paused is the data of model.paused and model.held.
type Paused struct {
	By     string    `json:"by"`               // who caused it: a user, or a run
	Reason string    `json:"reason,omitempty"` // why, in one sentence
	Until  time.Time `json:"until,omitzero"`   // when it ends by itself; absent if it ends by `resume` only
}

// Resumed is the data of model.resumed.
type Resumed struct {
	By string `json:"by"` // who resumed it
}

// Scheduled reports the time at which a run may start.
type Scheduled struct {
	Run       string    `json:"run,omitempty"`       // id of the run, once there is one
	Pipeline  string    `json:"pipeline"`            // name of the pipeline
	Reason    string    `json:"reason"`              // why, in one sentence
	NotBefore time.Time `json:"not_before,omitzero"` // when it may start; absent if that depends on an event
	Waits     string    `json:"waits,omitempty"`     // what it waits for
}

// Started names the steps of a run.
type Started struct {
	Run      string   `json:"run"`      // id of the run
	Pipeline string   `json:"pipeline"` // name of the pipeline
	Reason   string   `json:"reason"`   // why, in one sentence
	Steps    []string `json:"steps"`    // names of the steps, in order
}

// Step reports how a step ended.
type Step struct {
	Run     string  `json:"run"`               // id of the run
	Step    string  `json:"step"`              // name of the step
	Index   int     `json:"index"`             // from 1
	Of      int     `json:"of"`                // how many steps the run has
	State   string  `json:"state"`             // ok, or how it failed: failed, timeout, killed, not_started, unknown, gpu_oom, disk_full, rejected, inconclusive, not_proved, blocked, cancelled
	Attempt int     `json:"attempt,omitempty"` // from 1
	Seconds float64 `json:"seconds,omitempty"` // how long it took
	Detail  string  `json:"detail,omitempty"`  // in one sentence
	// share of the time in which it left its GPU idle, in [0, 1]; absent where it had none, or that is not known
	GPUIdle *float64 `json:"gpu_idle,omitempty"`
}

// Finished reports a run's outcome.
type Finished struct {
	Run     string  `json:"run"`               // id of the run
	Outcome string  `json:"outcome"`           // promoted, rejected, rolled_back, failed, cancelled, blocked
	Reason  string  `json:"reason"`            // in one sentence
	Why     string  `json:"why,omitempty"`     // not_worse if the gate kept the champion, gpu_held if the GPU was not free, window_… if the quiet hours ended, probation_failed if a release was rolled back
	Release string  `json:"release,omitempty"` // what serves now
	Seconds float64 `json:"seconds"`           // from its first step to its end
}

// Labels counts what a source delivered.
type Labels struct {
	Source    string `json:"source"`          // postgres
	Changes   int    `json:"changes"`         // how many since the last such event
	Own       int    `json:"own,omitempty"`   // of them, written by retraind's own runs
	Watermark int64  `json:"label_watermark"` // number of the last change
}

// Condition is one rule of the policy with its figures.
type Condition struct {
	Name  string  `json:"name"`           // as in retrain_when and urgent_when
	Value float64 `json:"value"`          // what was measured
	Bound float64 `json:"bound"`          // where it trips
	True  bool    `json:"true"`           // whether it trips
	Text  string  `json:"text,omitempty"` // the same as a sentence
}

// Target is the accuracy of one target that does not gate.
type Target struct {
	Name     string  `json:"name"`     // as in serving.targets
	Accuracy float64 `json:"accuracy"` // share of right answers
	Low      float64 `json:"low"`      // 95 % interval
	High     float64 `json:"high"`     // 95 % interval
	MacroF1  float64 `json:"macro_f1"` // mean F1 of the categories
	N        int     `json:"n"`        // held-out items with a label of it
	Correct  int     `json:"correct"`  // of them, answered right
}

// Drift reports the result of an evaluation.
type Drift struct {
	Release    string      `json:"release"`              // digest of what was judged
	State      string      `json:"state"`                // ok, no_release, unscored, insufficient, asleep, error
	Now        *Metrics    `json:"now,omitempty"`        // the figures of this evaluation
	Baseline   *Metrics    `json:"baseline,omitempty"`   // the figures at the promotion
	Targets    []Target    `json:"targets,omitempty"`    // the figures of the other targets
	Drop       float64     `json:"drop"`                 // percentage points
	Conditions []Condition `json:"conditions,omitempty"` // every rule with its figures
	Watermark  int64       `json:"label_watermark"`      // number of the last change in the figures
}

// Decision is the policy's verdict.
type Decision struct {
	Verdict    string      `json:"verdict"`              // hold, retrain, inconclusive, rollback
	Reasons    []string    `json:"reasons"`              // why nothing starts, or why a release is rolled back, from the closed list of reasons
	Conditions []Condition `json:"conditions,omitempty"` // every rule with its figures
	Digest     string      `json:"policy_digest"`        // digest of the policy that decided
}

// Shadow reports a difference between the active policy and the shadow policy.
type Shadow struct {
	Decision    string    `json:"decision"`      // decision of the active policy: start, running, wait, hold, undecided
	Shadow      string    `json:"shadow"`        // decision of the shadow policy
	Text        string    `json:"text"`          // the shadow's decision in one sentence
	Differences int       `json:"differences"`   // number of differences since the shadow was started, including this one
	Since       time.Time `json:"since"`         // when it began
	Digest      string    `json:"policy_digest"` // digest of the shadow's policy
}

// Adopted describes a release that served before retraind deployed it.
type Adopted struct {
	Release        string   `json:"release"`            // its digest: "adopted:" and a hash of its answers
	Health         string   `json:"health,omitempty"`   // digest in the service's health answer
	Replaces       string   `json:"replaces,omitempty"` // digest of the previous champion
	By             string   `json:"by,omitempty"`       // who requested it; empty if retraind did it by itself
	TrainedOnKnown bool     `json:"trained_on_known"`   // whether its training items are known and excluded
	Now            *Metrics `json:"now"`                // its figures on the held-out items
}

// Foreign describes a service whose answers differ from the champion's.
type Foreign struct {
	Release string `json:"release"`      // digest of the champion
	As      string `json:"as,omitempty"` // digest of the release that answers; empty if unknown
	Text    string `json:"text"`         // in one sentence, how it was detected
}

// Recognized describes a service whose answers equal the champion's again.
type Recognized struct {
	Release string    `json:"release"`       // digest of the champion
	Since   time.Time `json:"foreign_since"` // when the other answers were detected
}

// Remeasured describes a baseline that was measured again after the promotion.
type Remeasured struct {
	Release string   `json:"release"` // digest of the champion
	Why     string   `json:"why"`     // in a few words: runtime changed from ollama 0.17.4 to ollama 0.18.0
	Before  *Metrics `json:"before"`  // the figures until now
	Now     *Metrics `json:"now"`     // those that count from now on
}

// Reloaded describes the new configuration.
type Reloaded struct {
	Digest        string   `json:"config_digest"`            // digest of the file in force
	RestartNeeded []string `json:"restart_needed,omitempty"` // keys that take effect after a restart
}

// Refused lists the errors of a refused configuration.
type Refused struct {
	Problems []string `json:"problems"`      // each with its place in the file
	Digest   string   `json:"config_digest"` // digest of the configuration that stays in force
}

// Up describes the daemon when it is ready.
type Up struct {
	Version string   `json:"version"`       // of retraind
	Models  []string `json:"models"`        // names of the configured models
	Digest  string   `json:"config_digest"` // digest of the file in force
}

// Audit reports a difference that the nightly audit found.
type Audit struct {
	Difference string `json:"difference"` // the first one, in one sentence
}

// Stopping contains the reason why the daemon stops.
type Stopping struct {
	Cause string `json:"cause"` // in one sentence
}
