package notify

import "time"

// Metrics is an accuracy, with its interval and the number of items it was measured on. Shares are fractions in [0, 1].
type Metrics struct {
	Accuracy float64 `json:"accuracy"`           // share of right answers, 0 to 1
	Low      float64 `json:"low"`                // lower end of its 95% interval
	High     float64 `json:"high"`               // upper end of its 95% interval
	MacroF1  float64 `json:"macro_f1,omitempty"` // mean F1 of the categories
	N        int     `json:"n"`                  // number of held-out items
}

// Artifact describes where a release's files are and how to check them.
type Artifact struct {
	URI    string `json:"uri"`    // directory of the files, as file://PATH
	SHA256 string `json:"sha256"` // digest over the files
	Size   int64  `json:"size"`   // size of the files in bytes
}

// Deployed contains everything that a subscriber needs to know about a deploy. Release is the digest of the new serving
// release.
type Deployed struct {
	Model    string   `json:"model"`              // name of the model
	Release  string   `json:"release"`            // digest of the release that serves now
	Previous string   `json:"previous,omitempty"` // digest of the release that it replaced
	Artifact Artifact `json:"artifact"`           // its files
	// figures of the previous release on the same held-out items; absent if there was none
	Before         *Metrics `json:"before,omitempty"`
	After          *Metrics `json:"after,omitempty"` // its figures on the held-out items
	LabelWatermark int64    `json:"label_watermark"` // number of the last label change in its training data
	Reason         string   `json:"reason"`          // why it was trained, in one sentence
	Run            string   `json:"run"`             // id of the run
}

// Gate is one check of a candidate.
type Gate struct {
	// `category_floor`, `format_errors`, `targets.NAME`, `figures.NAME` or `base_model` if that decided, else the rule in
	// promote.gate; detail has the cause
	Name    string `json:"name"`
	Verdict string `json:"verdict"`          // `fail`, or `inconclusive` if there is too little evidence
	Detail  string `json:"detail,omitempty"` // the figures, in one sentence
}

// Rejected explains why a candidate did not become the champion.
type Rejected struct {
	Model    string   `json:"model"`            // name of the model
	Release  string   `json:"release"`          // digest of the candidate
	Champion string   `json:"champion"`         // digest of the release that keeps serving; empty if there is none
	Before   *Metrics `json:"before,omitempty"` // figures of the champion on the held-out items
	After    *Metrics `json:"after,omitempty"`  // figures of the candidate on the same items
	Gates    []Gate   `json:"gates,omitempty"`  // rules of the gate that decided
	Reason   string   `json:"reason"`           // why it was refused, in one sentence
	Run      string   `json:"run"`              // id of the run
}

// RolledBack reports that an earlier release serves again. Release is the digest of that release.
type RolledBack struct {
	Model    string   `json:"model"`    // name of the model
	Release  string   `json:"release"`  // digest of the release that serves again
	Failed   string   `json:"failed"`   // digest of the release that was rolled back
	Artifact Artifact `json:"artifact"` // files of the release that serves again
	Reason   string   `json:"reason"`   // why it was rolled back, in one sentence
	Run      string   `json:"run"`      // id of the run
}

// Paused is the data of model.paused and model.held.
type Paused struct {
	By     string    `json:"by"`               // who did it: a user, or a run
	Reason string    `json:"reason,omitempty"` // why, in one sentence
	Until  time.Time `json:"until,omitzero"`   // when it ends without `resume`; absent if only `resume` ends it
}

// Resumed is the data of model.resumed.
type Resumed struct {
	By string `json:"by"` // who did it: a user, or `proof` if a hold ended because the champion was proved to serve
}

// Scheduled reports the time at which a run may start.
type Scheduled struct {
	Run      string `json:"run,omitempty"` // id of the run, once there is one
	Pipeline string `json:"pipeline"`      // name of the pipeline
	Reason   string `json:"reason"`        // why, in one sentence
	// earliest time at which it may start; absent if that is not known
	NotBefore time.Time `json:"not_before,omitzero"`
	Waits     string    `json:"waits,omitempty"` // what it waits for, in one sentence
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
	Run   string `json:"run"`   // id of the run
	Step  string `json:"step"`  // name of the step
	Index int    `json:"index"` // number of the step, from 1
	Of    int    `json:"of"`    // number of steps of the run
	// `ok`, or how the step failed: `failed`, `timeout`, `killed`, `not_started`, `unknown`, `gpu_oom`, `disk_full`,
	// `rejected`, `inconclusive`, `not_proved`, `blocked` or `cancelled`
	State   string  `json:"state"`
	Attempt int     `json:"attempt,omitempty"` // number of the attempt, from 1
	Seconds float64 `json:"seconds,omitempty"` // how long it took
	Detail  string  `json:"detail,omitempty"`  // what happened, in one sentence
	// share of the time in which the step left its GPU idle, 0 to 1; absent if it had no GPU or if that is unknown
	GPUIdle *float64 `json:"gpu_idle,omitempty"`
}

// Finished reports a run's outcome.
type Finished struct {
	Run string `json:"run"` // id of the run
	// `promoted`, `rejected`, `rolled_back`, `failed`, `cancelled` or `blocked`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"` // why, in one sentence
	// reason as a fixed word, for some outcomes, such as `not_worse` if the gate kept the champion, `gpu_held` if the GPU
	// was not free, `window_closed` if the quiet hours ended, or `probation_failed` if a release was rolled back
	Why     string  `json:"why,omitempty"`
	Release string  `json:"release,omitempty"` // digest of the release that serves now
	Seconds float64 `json:"seconds"`           // seconds from its first step to its end
}

// Labels counts what a source delivered.
type Labels struct {
	// sources of the changes, with commas between them, such as `postgres`
	Source    string `json:"source"`
	Changes   int    `json:"changes"`         // number of changes since the last such event
	Own       int    `json:"own,omitempty"`   // number of these changes that retraind's own runs wrote
	Watermark int64  `json:"label_watermark"` // number of the last change
}

// Condition is one rule of the policy with its figures.
type Condition struct {
	// key of the condition, such as `accuracy_drop` or `category_recall_below.sport`
	Name  string  `json:"name"`
	Value float64 `json:"value"`          // measured value
	Bound float64 `json:"bound"`          // value at which it trips
	True  bool    `json:"true"`           // whether it trips
	Text  string  `json:"text,omitempty"` // the condition in one sentence
}

// Target is the accuracy of one target that does not gate.
type Target struct {
	Name     string  `json:"name"`     // name, as in serving.targets
	Accuracy float64 `json:"accuracy"` // share of right answers, 0 to 1
	Low      float64 `json:"low"`      // lower end of its 95% interval
	High     float64 `json:"high"`     // upper end of its 95% interval
	MacroF1  float64 `json:"macro_f1"` // mean F1 of the categories
	N        int     `json:"n"`        // number of held-out items with a label of this target
	Correct  int     `json:"correct"`  // number of these that were answered rightly
}

// Drift reports the result of an evaluation.
type Drift struct {
	Release string `json:"release"` // digest of the release that was evaluated
	// `ok`, `no_release`, `unscored`, `insufficient`, `asleep`, `foreign` or `error`
	State      string      `json:"state"`
	Now        *Metrics    `json:"now,omitempty"`        // figures of this evaluation
	Baseline   *Metrics    `json:"baseline,omitempty"`   // figures at the promotion, or of a newer baseline
	Targets    []Target    `json:"targets,omitempty"`    // figures of the targets other than serving.gate
	Drop       float64     `json:"drop"`                 // accuracy lost since the baseline, in percentage points
	Conditions []Condition `json:"conditions,omitempty"` // every condition of the policy with its figures
	Watermark  int64       `json:"label_watermark"`      // number of the last label change in the figures
}

// Decision is the policy's verdict.
type Decision struct {
	Verdict string `json:"verdict"` // `hold`, `retrain`, `inconclusive` or `rollback`
	// why nothing starts, or why a release is rolled back: words from the list of reasons
	Reasons    []string    `json:"reasons"`
	Conditions []Condition `json:"conditions,omitempty"` // every condition of the policy with its figures
	Digest     string      `json:"policy_digest"`        // digest of the policy
}

// Shadow reports a difference between the active policy and the shadow policy.
type Shadow struct {
	// decision of the active policy: `start`, `running`, `wait`, `hold` or `undecided`
	Decision string `json:"decision"`
	Shadow   string `json:"shadow"` // decision of the shadow policy, one of the same words
	Text     string `json:"text"`   // the shadow's decision in one sentence
	// number of differences since the shadow policy was first evaluated, with this one
	Differences int       `json:"differences"`
	Since       time.Time `json:"since"`         // when the shadow policy was first evaluated
	Digest      string    `json:"policy_digest"` // digest of the shadow policy
}

// Adopted describes a release that served before retraind deployed it.
type Adopted struct {
	Release  string `json:"release"`            // digest of the release: "adopted:" and a hash of its answers
	Health   string `json:"health,omitempty"`   // digest in the service's health answer
	Replaces string `json:"replaces,omitempty"` // digest of the previous champion
	By       string `json:"by,omitempty"`       // who requested it; absent if retraind did it without a request
	// whether the items that it was trained on are known and excluded
	TrainedOnKnown bool     `json:"trained_on_known"`
	Now            *Metrics `json:"now"` // its figures on the held-out items
}

// Foreign describes a service whose answers differ from the champion's.
type Foreign struct {
	Release string `json:"release"`      // digest of the champion
	As      string `json:"as,omitempty"` // digest of the release that answers; absent if unknown
	Text    string `json:"text"`         // how it was detected, in one sentence
}

// Recognized describes a service whose answers equal the champion's again.
type Recognized struct {
	Release string    `json:"release"`       // digest of the champion
	Since   time.Time `json:"foreign_since"` // when answers of another release were detected
}

// Remeasured describes a baseline that was measured again after the promotion.
type Remeasured struct {
	Release string `json:"release"` // digest of the champion
	// what changed: `runtime changed from ollama 0.17.4 to ollama 0.18.0`
	Why    string   `json:"why"`
	Before *Metrics `json:"before"` // figures of the old baseline
	Now    *Metrics `json:"now"`    // figures of the new baseline
}

// Reloaded describes the new configuration.
type Reloaded struct {
	Digest        string   `json:"config_digest"`            // digest of the configuration
	RestartNeeded []string `json:"restart_needed,omitempty"` // changed keys that apply only after a restart
}

// Refused lists the errors of a refused configuration.
type Refused struct {
	Problems []string `json:"problems"`      // the errors, each with its place in the file
	Digest   string   `json:"config_digest"` // digest of the configuration that stays in force
}

// Up describes the daemon when it is ready.
type Up struct {
	Version string   `json:"version"`       // version of retraind
	Models  []string `json:"models"`        // names of the configured models
	Digest  string   `json:"config_digest"` // digest of the configuration
}

// Audit reports a difference that the nightly audit found.
type Audit struct {
	Difference string `json:"difference"` // the first difference, or the damage, in one sentence
}

// Stopping contains the reason why the daemon stops.
type Stopping struct {
	Cause string `json:"cause"` // "asked to stop", or the part of the daemon that failed and its error
}
