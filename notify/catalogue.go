package notify

// Kind names what happened, as "<noun>.<verb>". The NATS subject ends with it, and the CloudEvents type contains it.
type Kind string

// The kinds of events.
const (
	ModelDeployed   Kind = "model.deployed"
	ModelRejected   Kind = "model.rejected"
	ModelRolledBack Kind = "model.rolled_back"
	ModelPaused     Kind = "model.paused"
	ModelHeld       Kind = "model.held"
	ModelResumed    Kind = "model.resumed"
	RunScheduled    Kind = "run.scheduled"
	RunStarted      Kind = "run.started"
	RunStep         Kind = "run.step"
	RunFinished     Kind = "run.finished"
	LabelsReceived  Kind = "labels.received"
	DriftMeasured   Kind = "drift.measured"
	DriftTripped    Kind = "drift.tripped"
	DriftCleared    Kind = "drift.cleared"
	AuditFailed     Kind = "audit.failed"
	DecisionMade    Kind = "decision.made"
	ShadowDiffered  Kind = "shadow.differed"
	ModelAdopted    Kind = "model.adopted"
	ModelForeign    Kind = "model.foreign"
	ModelRecognized Kind = "model.recognized"
	ModelRemeasured Kind = "model.remeasured"
	ConfigReloaded  Kind = "config.reloaded"
	ConfigRejected  Kind = "config.rejected"
	GPUBlocked      Kind = "gpu.blocked"
	GPUContended    Kind = "gpu.contended"
	GPUReleased     Kind = "gpu.released"
	GPURestored     Kind = "gpu.restored"
	DaemonStarted   Kind = "daemon.started"
	DaemonStopping  Kind = "daemon.stopping"
)

// Entry describes one kind of event.
type Entry struct {
	Kind Kind
	// Data is a zero value of the type of the event's data.
	Data any
	// Entry is the suffix of the model's key in the bucket retraind_models under which the document is also stored, or "".
	Entry string
	// When describes in one sentence when the event is sent.
	When string
}

// Catalogue lists every kind of event, in the order of the documentation.
func Catalogue() []Entry {
	return []Entry{
		{ModelDeployed, Deployed{}, "current", "A new release serves, which the service's own answers proved."},
		{ModelRejected, Rejected{}, "candidate", "The gate refused a candidate whose files differ from the champion's; the champion keeps serving."},
		{
			ModelRolledBack,
			RolledBack{},
			"current",
			"A deployed release was rolled back; the previous one serves again, which the service's own answers proved.",
		},
		{ModelPaused, Paused{}, "", "A person paused automatic runs; runs on request still start. With `_daemon` as the model, every model is paused."},
		{ModelHeld, Paused{}, "", "The model is held: no run starts, not even on request, until a person resumes it or, after a hold by a run, the champion is proved to serve. The cause is a run that could not verify which release serves, or a person who set the hold."},
		{
			ModelResumed,
			Resumed{},
			"",
			"The model's hold and pause ended. With `_daemon` as the model, the pause of every model ended.",
		},
		{
			RunScheduled,
			Scheduled{},
			"",
			"A retrain is due and waits, for example for quiet hours, the cooldown, the budget or a person.",
		},
		{RunStarted, Started{}, "", "A run began."},
		{RunStep, Step{}, "", "A step of a run ended."},
		{RunFinished, Finished{}, "", "A run ended, whatever its outcome."},
		{LabelsReceived, Labels{}, "", "Label changes were stored. One event reports all changes since the previous one."},
		{DriftMeasured, Drift{}, "", "The accuracy was evaluated."},
		{DriftTripped, Drift{}, "", "At least one condition of the policy is true; at the previous evaluation none was."},
		{DriftCleared, Drift{}, "", "No condition of the policy is true any longer."},
		{AuditFailed, Audit{}, "", "The nightly audit found that the incremental figures differ from the recomputed ones, which replace them, or that the champion's files are damaged."},
		{DecisionMade, Decision{}, "", "The policy's decision changed: its verdict, its reasons, or the conditions that are true."},
		{ShadowDiffered, Shadow{}, "", "The shadow policy decided differently from the active policy."},
		{GPUBlocked, GPUHeld{}, "", "A step did not get a GPU, and its run ends as blocked."},
		{GPUContended, GPUFound{}, "", "Another process uses the GPU of a step, or the GPU has a fault."},
		{GPUReleased, GPUFreed{}, "", "Programs on a GPU were stopped temporarily for the steps of a run."},
		{GPURestored, GPUReturned{}, "", "A temporarily stopped program runs again, need not be started, or could not be started yet."},
		{ModelAdopted, Adopted{}, "current", "The release that serves was adopted as champion."},
		{ModelForeign, Foreign{}, "", "The service's answers are not the champion's."},
		{ModelRecognized, Recognized{}, "", "The service's answers are the champion's again."},
		{ModelRemeasured, Remeasured{}, "", "The version of the model's server, the prompt, the schema, the options or serving.gate changed, and the baseline was measured again."},
		{ConfigReloaded, Reloaded{}, "", "A new configuration is in force."},
		{ConfigRejected, Refused{}, "", "A new configuration was refused; the old one stays in force."},
		{DaemonStarted, Up{}, "", "The daemon is ready."},
		{DaemonStopping, Stopping{}, "", "The daemon is about to end."},
	}
}

// Lookup returns the catalogue's entry for a kind, if there is one.
func Lookup(kind Kind) (Entry, bool) {
	for _, e := range Catalogue() {
		if e.Kind == kind {
			return e, true
		}
	}
	return Entry{}, false
}
