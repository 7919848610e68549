package actions

import (
	"cmp"
	"slices"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// ActionKind is the kind of a run's next action.
type ActionKind string

// The kinds of actions.
const (
	ActDo      ActionKind = "do"      // a step of the pipeline
	ActFree    ActionKind = "free"    // stop what Plan.Stop names, before the first step that needs the GPU
	ActRestore ActionKind = "restore" // start what was stopped
	ActUndo    ActionKind = "undo"    // undo a step
	ActProve   ActionKind = "prove"   // verify that the former release is served again
	ActFinish  ActionKind = "finish"  // write the outcome
)

// Action is the next thing to do in a run. Ord counts the actions of a run from 0.
type Action struct {
	Ord     int
	Kind    ActionKind
	Step    int // index into Plan.Steps: for ActDo and ActUndo of the step itself, for ActFree of the following one
	Attempt int // from 1
	Result  Result
}

// Outcome is the record of an action that has ended.
type Outcome struct {
	Kind    ActionKind      `json:"kind"`
	Step    int             `json:"step"`
	Attempt int             `json:"attempt"`
	Class   store.StepState `json:"class"`
	Detail  string          `json:"detail,omitempty"` // one sentence for people
	Why     policy.Reason   `json:"why,omitempty"`    // reason of a blocked or rejected step, "" if none is named
	// Undecided means that the outcome is unknown, and that the step's probe could not decide it either.
	Undecided bool `json:"undecided,omitempty"`
	// Carried means that the step did not run: the files of the run's parent were reused.
	Carried bool  `json:"carried,omitempty"`
	Facts   Facts `json:"facts,omitzero"`
}

// Result is the end of a run.
type Result struct {
	Outcome policy.Outcome `json:"outcome"`
	Reason  string         `json:"reason"`
	// Why is the reason of a run that changed nothing, such as not_worse if the gate kept the champion or gpu_held if the
	// GPU stayed in use. For a rollback it is probation_failed.
	Why  policy.Reason `json:"why,omitempty"`
	Step string        `json:"step,omitempty"` // the step that decided it
	// Owed names what could not be restored, "" for nothing. The host's ledger still lists that, and the restore is
	// retried from there.
	Owed string `json:"owed,omitempty"`
	// Hold means that the served release could not be verified: no further run until a person has checked.
	Hold bool `json:"hold,omitempty"`
}

const (
	undoAttempts    = 6 // limit of attempts to undo a step
	restoreAttempts = 3 // limit of attempts to restore what was stopped; later attempts start from the host's ledger
)

// Next returns a run's next action after the recorded ones; it reports false when the run is done. It is pure, so that
// a run resumes after any crash exactly where its journal ends.
//
// The steps run in order until one fails permanently. Then the steps that were started are undone. The failed one is
// undone too, because part of its effect may have happened. If the run had started to put a release into service, the
// former release is then verified. Finish is always the last action and happens once.
//
// What Plan.Stop names is stopped before the first step that needs the GPU. It is started again after the last such
// step, or before anything is undone, because Plan.Stop may name the service. A run that only rolls a release back
// begins where a failed run begins to undo.
func Next(p Plan, done []Outcome) (Action, bool) {
	m := machineOf(p, done)
	a, ok := m.next()
	a.Ord = len(done)
	return a, ok
}

// machineOf returns the state of a run after the recorded actions.
func machineOf(p Plan, done []Outcome) *machine {
	m := machine{plan: p, attempt: 1}
	if p.Rollback != nil {
		m.begun, m.released = p.undone(), true
		m.back = m.backwards()
	}
	for _, o := range done {
		m.apply(o)
	}
	return &m
}

// machine is the state of a run, computed from its journal.
type machine struct {
	plan     Plan
	at       int // step that is next or in progress, until one fails
	attempt  int
	begun    []int // steps with something to undo
	cause    *Outcome
	back     []int // steps still to undo, in this order
	released bool  // the run has started to put a release into service
	proved   bool  // the verification after the undo was tried
	badUndo  string
	finished bool

	freed    bool  // the things in Plan.Stop are stopped
	frees    int   // number of attempts to stop them
	owing    bool  // something that the GPU part stopped may still be stopped
	unloaded []int // steps that have unloaded models which no later step has loaded
	restores int   // failed attempts to restore
	owed     string
}

func (m *machine) apply(o Outcome) {
	switch o.Kind {
	case ActDo:
		m.applyStep(o)
	case ActFree:
		m.frees++
		m.owing, m.freed = true, o.Class == store.StepOK
		if !m.freed {
			m.fail(o)
		}
	case ActRestore:
		m.applyRestore(o)
	case ActUndo:
		if o.Class != store.StepOK && o.Class != store.StepBlocked && m.attempt < undoAttempts {
			m.attempt++
			return
		}
		if o.Class != store.StepOK {
			m.notUndone("step " + m.plan.Steps[o.Step].Name + " could not be undone: " + o.Detail)
		}
		m.back, m.attempt = m.back[1:], 1
	case ActProve:
		m.proved = true
		if o.Class != store.StepOK {
			m.notUndone(o.Detail)
		}
	case ActFinish:
		m.finished = true
	}
}

// notUndone adds a sentence to what went wrong after the run began to undo its steps.
func (m *machine) notUndone(why string) {
	if m.badUndo != "" {
		m.badUndo += "; and "
	}
	m.badUndo += why
}

func (m *machine) applyStep(o Outcome) {
	step := m.plan.Steps[o.Step]
	if o.Class != store.StepOK && m.again(step, o) {
		m.attempt++
		if o.Class == store.StepGPUOOM {
			m.freed = false // something may have been started meanwhile
		}
		return
	}
	m.attempt = 1
	switch {
	case step.unloads():
		m.unloaded = append(m.unloaded, o.Step)
	case o.Class == store.StepOK && step.Act != nil && step.Act.Ollama != nil:
		m.unloaded = m.plan.loaded(m.unloaded, o.Step)
	}
	m.released = m.released || step.Do.servesRelease()
	if step.hasUndo() {
		m.begun = append(m.begun, o.Step)
	}
	if o.Class == store.StepOK {
		m.at++
		return
	}
	m.fail(o)
}

// fail ends the forward part of the run.
func (m *machine) fail(o Outcome) {
	m.cause = &o
	m.back = m.backwards()
}

func (m *machine) applyRestore(o Outcome) {
	m.restores++
	ok := o.Class == store.StepOK
	if !ok && m.restores < restoreAttempts {
		return
	}
	m.owing, m.freed, m.restores = false, false, 0
	if m.whole() {
		m.unloaded, m.owed = nil, ""
	}
	if !ok {
		m.owed = o.Detail
	}
}

// whole reports whether a restore now covers everything, including what steps have unloaded until the end of the run.
func (m *machine) whole() bool { return m.cause != nil || m.at >= len(m.plan.Steps) }

// gpuPart returns the index of the first and of the last step that need the things in Plan.Stop to be stopped: those
// that use the GPU themselves, and those that ask models of Ollama on it.
func (p Plan) gpuPart() (first, last int, ok bool) {
	for i, s := range p.Steps {
		if (s.GPU || s.OllamaOnGPU) && len(p.Stop) > 0 {
			if !ok {
				first = i
			}
			last, ok = i, true
		}
	}
	return first, last, ok
}

// backwards orders what must be undone: the release first, so that a command which restarts the service finds the
// former release in `current`; then the commands, the last one first.
func (m *machine) backwards() []int {
	back := slices.Clone(m.begun)
	slices.Reverse(back)
	if i := slices.IndexFunc(back, func(s int) bool { return m.plan.Steps[s].Do.servesRelease() }); i > 0 {
		release := back[i]
		back = append([]int{release}, slices.Delete(back, i, i+1)...)
	}
	return back
}

// again reports whether a step that ended with outcome o is retried.
func (m *machine) again(step Step, o Outcome) bool {
	switch o.Class {
	case store.StepFailed, store.StepTimeout, store.StepKilled, store.StepNotStarted, store.StepNotProved:
		return m.attempt <= step.Retries
	case store.StepUnknown: // the supervisor was lost: not the command's fault, and harmless if the step may be repeated
		return mayRepeat(step, o) && m.attempt <= step.Retries+3
	case store.StepGPUOOM:
		return m.attempt <= max(1, step.Retries)
	}
	return false
}

// mayRepeat reports whether a step with an unknown outcome may run again: it is pure, or its probe found no effect.
func mayRepeat(step Step, o Outcome) bool {
	return step.Kind == KindPure || step.Kind == KindConverge && !o.Undecided
}

func (m *machine) next() (Action, bool) {
	switch {
	case m.finished:
		return Action{}, false
	case m.owing && m.over(), len(m.unloaded) > 0 && m.whole():
		return Action{Kind: ActRestore, Attempt: m.restores + 1}, true
	case m.plan.Rollback == nil && m.cause == nil && m.at < len(m.plan.Steps) && !m.freed && m.inPart():
		return Action{Kind: ActFree, Step: m.at, Attempt: m.frees + 1}, true
	case m.plan.Rollback == nil && m.cause == nil && m.at < len(m.plan.Steps):
		return Action{Kind: ActDo, Step: m.at, Attempt: m.attempt}, true
	case len(m.back) > 0:
		return Action{Kind: ActUndo, Step: m.back[0], Attempt: m.attempt}, true
	case (m.cause != nil || m.plan.Rollback != nil) && m.released && !m.proved:
		return Action{Kind: ActProve, Attempt: 1}, true
	}
	return Action{Kind: ActFinish, Attempt: 1, Result: m.result()}, true
}

// inPart reports whether the next step belongs to the GPU part; over reports that it does not, or that the run has
// failed.
func (m *machine) inPart() bool {
	first, last, ok := m.plan.gpuPart()
	return ok && first <= m.at && m.at <= last
}

func (m *machine) over() bool { return m.cause != nil || !m.inPart() }

func (m *machine) result() Result {
	r := m.outcome()
	r.Owed = m.owed
	if r.Owed != "" {
		r.Reason += "; " + r.Owed
	}
	return r
}

func (m *machine) outcome() Result {
	if m.plan.Rollback != nil {
		return m.rollbackResult()
	}
	if m.cause == nil {
		return Result{Outcome: policy.OutcomePromoted, Reason: "all steps succeeded"}
	}
	r := Result{Outcome: policy.OutcomeFailed, Reason: m.cause.Detail, Step: m.plan.Steps[m.cause.Step].Name}
	// The effect of a command that may not run again is unknown: a person has to check before the next run.
	r.Hold = m.released && m.cause.Class == store.StepUnknown && !mayRepeat(m.plan.Steps[m.cause.Step], *m.cause)
	switch m.cause.Class {
	case store.StepRejected, store.StepInconclusive:
		r.Outcome, r.Why = policy.OutcomeRejected, cmp.Or(m.cause.Why, policy.ReasonNotWorse)
	case store.StepCancelled:
		r.Outcome = policy.OutcomeCancelled
	case store.StepBlocked:
		r.Outcome, r.Why = policy.OutcomeBlocked, m.cause.Why
	}
	if m.released && m.plan.Champion != "" && r.Outcome != policy.OutcomeCancelled {
		r.Outcome = policy.OutcomeRolledBack // without a former release there is nothing to roll back to: the run has failed
	}
	if m.badUndo != "" {
		r.Outcome, r.Hold = policy.OutcomeFailed, true
		r.Reason += "; and " + m.badUndo
	}
	return r
}
