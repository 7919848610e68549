package store

// The states that the store keeps. Their texts are what its columns hold, so they never change. How a run ended is a
// policy.Outcome and what a change did a watch.Op: the store keeps both as texts and draws no conclusion from them.

// RunState says where a run stands.
type RunState string

// The states of a run.
const (
	RunQueued  RunState = "queued"  // stored; it has not begun
	RunRunning RunState = "running" // under way, or interrupted by a stop of the daemon
	RunEnded   RunState = "ended"   // its outcome is final
)

// StepState says where one attempt of a step stands, or how it ended.
type StepState string

// The states of a step.
const (
	StepWaiting      StepState = "waiting"      // not begun: shown, never stored
	StepRunning      StepState = "running"      // begun
	StepOK           StepState = "ok"           // succeeded
	StepFailed       StepState = "failed"       // ended with an error, a command with an exit status other than 0
	StepTimeout      StepState = "timeout"      // killed by retraind after its timeout
	StepKilled       StepState = "killed"       // ended by a signal of somebody else
	StepNotStarted   StepState = "not_started"  // its program could not be started
	StepUnknown      StepState = "unknown"      // its supervisor is gone without a record
	StepGPUOOM       StepState = "gpu_oom"      // failed, and its output says that the GPU's memory did not suffice
	StepDiskFull     StepState = "disk_full"    // failed, and its output says that no space is left
	StepRejected     StepState = "rejected"     // the gate refused the candidate
	StepInconclusive StepState = "inconclusive" // the gate could not decide: the champion stays
	StepNotProved    StepState = "not_proved"   // the service does not answer as the release does
	StepBlocked      StepState = "blocked"      // refused by a safety rule
	StepCancelled    StepState = "cancelled"    // a person cancelled the run
)

// ReleaseState says what became of a release.
type ReleaseState string

// The states of a release.
const (
	ReleaseCandidate  ReleaseState = "candidate"   // trained; its run has not ended
	ReleaseChampion   ReleaseState = "champion"    // serves
	ReleasePrevious   ReleaseState = "previous"    // served until the champion did; a rollback returns to it
	ReleaseRejected   ReleaseState = "rejected"    // never served
	ReleaseRolledBack ReleaseState = "rolled_back" // served, and was taken back
	ReleaseRetired    ReleaseState = "retired"     // served before the previous one
)

// DeployKind says why a run made a release serve.
type DeployKind string

// The kinds of deploys.
const (
	DeployNew    DeployKind = "deploy"   // a new release
	DeployFormer DeployKind = "rollback" // the former one again
)
