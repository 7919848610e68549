package store

// The states in this file are stored in columns as texts, so the texts must never change. A run's outcome is a
// policy.Outcome and a change's op is a watch.Op: the store keeps both as texts and does not interpret them.

// RunState is the state of a run.
type RunState string

// The states of a run.
const (
	RunQueued  RunState = "queued"  // stored; it has not begun
	RunRunning RunState = "running" // started; possibly interrupted by a stop of the daemon
	RunEnded   RunState = "ended"   // its outcome is final
)

// StepState is the state of one attempt of a step, or how it ended.
type StepState string

// The states of a step.
const (
	StepWaiting      StepState = "waiting"      // not begun: shown, never stored
	StepRunning      StepState = "running"      // begun
	StepOK           StepState = "ok"           // succeeded
	StepFailed       StepState = "failed"       // ended with an error; a command: with a non-zero exit status
	StepTimeout      StepState = "timeout"      // killed by retraind after its timeout
	StepKilled       StepState = "killed"       // ended by a signal that retraind did not send
	StepNotStarted   StepState = "not_started"  // its program could not be started
	StepUnknown      StepState = "unknown"      // its supervisor vanished without an exit record
	StepGPUOOM       StepState = "gpu_oom"      // failed, and its output reports exhausted GPU memory
	StepDiskFull     StepState = "disk_full"    // failed, and its output reports a full disk
	StepRejected     StepState = "rejected"     // the gate refused the candidate
	StepInconclusive StepState = "inconclusive" // the gate could not decide: the champion stays
	StepNotProved    StepState = "not_proved"   // the service does not answer like the release
	StepBlocked      StepState = "blocked"      // refused by a safety rule
	StepCancelled    StepState = "cancelled"    // a person cancelled the run
)

// ReleaseState is the state of a release.
type ReleaseState string

// The states of a release.
const (
	ReleaseCandidate  ReleaseState = "candidate"   // trained; its run has not ended
	ReleaseChampion   ReleaseState = "champion"    // serves
	ReleasePrevious   ReleaseState = "previous"    // served before the champion; a rollback returns to it
	ReleaseRejected   ReleaseState = "rejected"    // never served
	ReleaseRolledBack ReleaseState = "rolled_back" // served, and was rolled back
	ReleaseRetired    ReleaseState = "retired"     // served before the previous one
)

// DeployKind is the reason why a run deployed a release.
type DeployKind string

// The kinds of deploys.
const (
	DeployNew    DeployKind = "deploy"   // a new release
	DeployFormer DeployKind = "rollback" // the previous release again
)
