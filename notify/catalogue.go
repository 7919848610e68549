package notify

// Kind names what happened, "<noun>.<verb>". It is the end of the NATS subject and the middle of the CloudEvents type.
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
	DaemonStarted   Kind = "daemon.started"
	DaemonStopping  Kind = "daemon.stopping"
)

// Entry is a line of the catalogue.
type Entry struct {
	Kind Kind
	// Data is a zero value of the type of the event's data.
	Data any
	// Entry is the part of the model's entry in the bucket retraind_models that gets the document, or "".
	Entry string
	// When says in one sentence when the event is sent.
	When string
}

// Catalogue lists every kind, in the order of the documentation.
func Catalogue() []Entry {
	return []Entry{
		{ModelDeployed, Deployed{}, "current", "A release serves, and what it serves was proved."},
		{ModelRejected, Rejected{}, "candidate", "A gate refused a candidate; the champion stays."},
		{
			ModelRolledBack,
			RolledBack{},
			"current",
			"A deployed release was taken back; an earlier one serves again, and that was proved.",
		},
		{ModelPaused, Paused{}, "", "A person stopped what would start by itself; a retrain on request still runs. With the model `_daemon`: for every model."},
		{ModelHeld, Paused{}, "", "No run starts any more, not even on request, until somebody resumes the model: a run could not prove what serves, or a person said so."},
		{
			ModelResumed,
			Resumed{},
			"",
			"The hold and the pause were taken off. With the model `_daemon`: the pause of every model.",
		},
		{
			RunScheduled,
			Scheduled{},
			"",
			"A retraining was decided and waits: for quiet hours, the cooldown, the budget, or a person.",
		},
		{RunStarted, Started{}, "", "A run began."},
		{RunStep, Step{}, "", "A step of a run ended."},
		{RunFinished, Finished{}, "", "A run ended, whatever its outcome."},
		{LabelsReceived, Labels{}, "", "Label changes were stored; many changes make one event."},
		{DriftMeasured, Drift{}, "", "The accuracy was evaluated."},
		{DriftTripped, Drift{}, "", "A condition of the policy became true."},
		{DriftCleared, Drift{}, "", "No condition of the policy is true any more."},
		{AuditFailed, Audit{}, "", "The figures that are kept differed from the same computed anew, which are in force since; or the champion's files are damaged."},
		{DecisionMade, Decision{}, "", "The policy's verdict changed."},
		{ShadowDiffered, Shadow{}, "", "The shadow policy came to something else than the policy in force."},
		{GPUBlocked, GPUHeld{}, "", "A step did not get a GPU, and its run ends as blocked."},
		{GPUContended, GPUFound{}, "", "A step is not alone on its GPU any more, or the GPU has trouble."},
		{ModelAdopted, Adopted{}, "current", "What the service answers was made the champion."},
		{ModelForeign, Foreign{}, "", "The service answers as something else than the champion."},
		{ModelRecognized, Recognized{}, "", "The service answers as the champion again."},
		{ModelRemeasured, Remeasured{}, "", "The program that runs the model has changed, and the baseline was measured anew."},
		{ConfigReloaded, Reloaded{}, "", "A new configuration is in force."},
		{ConfigRejected, Refused{}, "", "A new configuration was refused; the old one stays."},
		{DaemonStarted, Up{}, "", "The daemon is ready."},
		{DaemonStopping, Stopping{}, "", "The daemon is about to end."},
	}
}

// Lookup finds a kind's line.
func Lookup(kind Kind) (Entry, bool) {
	for _, e := range Catalogue() {
		if e.Kind == kind {
			return e, true
		}
	}
	return Entry{}, false
}
