package notify

import "time"

// Metrics is an accuracy with what it stands on. Shares are fractions in [0, 1].
type Metrics struct {
	Accuracy float64 `json:"accuracy"`
	Low      float64 `json:"low"`  // 95 % interval
	High     float64 `json:"high"` // 95 % interval
	MacroF1  float64 `json:"macro_f1,omitempty"`
	N        int     `json:"n"` // held-out items
}

// Artifact says where a release's files are and how to check them.
type Artifact struct {
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes
}

// Deployed answers a subscriber's questions about a deploy alone. Release is what serves now.
type Deployed struct {
	Model    string   `json:"model"`
	Release  string   `json:"release"`
	Previous string   `json:"previous,omitempty"`
	Artifact Artifact `json:"artifact"`
	// Before is the previous release on the same held-out items; absent with a first release.
	Before *Metrics `json:"before,omitempty"`
	After  *Metrics `json:"after,omitempty"`
	// LabelWatermark is the last label change that the release knows.
	LabelWatermark int64  `json:"label_watermark"`
	Reason         string `json:"reason"`
	Run            string `json:"run"`
	Rollback       string `json:"rollback,omitempty"` // the command that takes it back
}

// Gate is one check of a candidate.
type Gate struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // pass, fail, inconclusive, error
	Detail  string `json:"detail,omitempty"`
}

// Rejected tells why a candidate did not become the champion.
type Rejected struct {
	Model    string   `json:"model"`
	Release  string   `json:"release"`  // the candidate
	Champion string   `json:"champion"` // what serves on
	Before   *Metrics `json:"before,omitempty"`
	After    *Metrics `json:"after,omitempty"`
	Gates    []Gate   `json:"gates,omitempty"`
	Reason   string   `json:"reason"`
	Run      string   `json:"run"`
}

// RolledBack tells that an earlier release serves again. Release is what serves now, as in Deployed.
type RolledBack struct {
	Model    string   `json:"model"`
	Release  string   `json:"release"`
	Failed   string   `json:"failed"` // the release that was taken back
	Artifact Artifact `json:"artifact"`
	Reason   string   `json:"reason"`
	Run      string   `json:"run"`
}

// Scheduled tells when a run may start.
type Scheduled struct {
	Run       string    `json:"run,omitempty"`
	Pipeline  string    `json:"pipeline"`
	Reason    string    `json:"reason"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Waits     string    `json:"waits,omitempty"` // what it waits for
}

// Started names the steps of a run.
type Started struct {
	Run      string   `json:"run"`
	Pipeline string   `json:"pipeline"`
	Reason   string   `json:"reason"`
	Steps    []string `json:"steps"`
}

// Step is a step's beginning or end.
type Step struct {
	Run     string  `json:"run"`
	Step    string  `json:"step"`
	Index   int     `json:"index"` // from 1
	Of      int     `json:"of"`
	State   string  `json:"state"` // started, ok, failed, timeout, killed, gpu_oom, disk_full, unknown
	Attempt int     `json:"attempt,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Detail  string  `json:"detail,omitempty"`
}

// Finished is a run's outcome.
type Finished struct {
	Run     string  `json:"run"`
	Outcome string  `json:"outcome"` // promoted, rejected, rolled_back, failed, cancelled, blocked
	Reason  string  `json:"reason"`
	Release string  `json:"release,omitempty"` // what serves now
	Seconds float64 `json:"seconds"`
}

// Labels counts what a source delivered.
type Labels struct {
	Source    string `json:"source"`
	Changes   int    `json:"changes"`
	Own       int    `json:"own,omitempty"` // of them, written by retraind's own runs
	Watermark int64  `json:"label_watermark"`
}

// Condition is one rule of the policy with its figures.
type Condition struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Bound float64 `json:"bound"`
	True  bool    `json:"true"`
	Text  string  `json:"text,omitempty"` // the same for people
}

// Drift is an evaluation.
type Drift struct {
	Release    string      `json:"release"`
	State      string      `json:"state"`
	Now        *Metrics    `json:"now,omitempty"`
	Baseline   *Metrics    `json:"baseline,omitempty"`
	Drop       float64     `json:"drop"` // percentage points
	Conditions []Condition `json:"conditions,omitempty"`
	Watermark  int64       `json:"label_watermark"`
}

// Decision is the policy's verdict.
type Decision struct {
	Verdict    string      `json:"verdict"` // hold, retrain, inconclusive
	Reasons    []string    `json:"reasons"`
	Conditions []Condition `json:"conditions,omitempty"`
	Digest     string      `json:"policy_digest"`
}

// Reloaded names the configuration in force.
type Reloaded struct {
	Digest        string   `json:"config_digest"`
	RestartNeeded []string `json:"restart_needed,omitempty"` // keys that take effect at the next start
}

// Refused says what was wrong with a configuration.
type Refused struct {
	Problems []string `json:"problems"`
	Digest   string   `json:"config_digest"` // the one that stays
}

// Up describes the daemon that is ready.
type Up struct {
	Version string   `json:"version"`
	Models  []string `json:"models"`
	Digest  string   `json:"config_digest"`
}

// Stopping says why the daemon ends.
type Stopping struct {
	Cause string `json:"cause"`
}
