package actions

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// Source reads the rows of a model and writes labels into them. The daemon implements it.
type Source interface {
	// Rows returns the present rows of a model, with the labels and the side (train, validation or test) of each.
	Rows(ctx context.Context, model string) iter.Seq2[Row, error]
	// SaltID returns the name of the salt by which held-out items are chosen.
	SaltID(model string) string
	// ReadTrained adds the items of a training file, written by the user's own export, to seen.
	ReadTrained(model string, file io.Reader, seen *drift.Seen) error
	// WriteLabels writes labels into the model's table and marks the changes with origin. It leaves a row alone that has a
	// label by then, or another text.
	WriteLabels(ctx context.Context, model string, w LabelWrite, origin string, rows []LabelRow) (LabelsWritten, error)
}

// BlockedError is returned when a safety rule refuses to continue.
type BlockedError struct {
	Reason string        // one sentence
	Why    policy.Reason // gpu_held if the GPU is in use; empty if the configuration is at fault
}

func (e *BlockedError) Error() string { return e.Reason }

// Executor performs the actions of runs. Every action may be performed twice.
type Executor struct {
	Store  *store.Store
	Runner runner.Runner
	Self   string // path of this binary, to run long built-in steps
	Source Source
	GPU    GPU    // nil: steps that need a GPU are blocked
	Models Models // nil: the steps ollama fail
	Host   string
	Log    *slog.Logger
	// Ended is called after a run has ended.
	Ended func(model string)
}

func now() time.Time { return time.Now().UTC() }

// Execute performs one action and records it. If the action fails, the Outcome says so. An error means only that this
// process is stopping, and that the next process performs the action again.
func (x *Executor) Execute(ctx context.Context, p Plan, a Action, done []Outcome) (Outcome, error) {
	log := x.Log.With("model", p.Model, "run_id", p.Run, "step", title(p, a), "attempt", a.Attempt)
	if a.Kind == ActFinish {
		return Outcome{Kind: a.Kind, Attempt: a.Attempt, Class: store.StepOK}, x.finish(ctx, p, a, done, log)
	}
	if err := x.begin(ctx, p, a); err != nil {
		return Outcome{}, err
	}
	faults.Point("begun:" + title(p, a))
	out, err := x.perform(ctx, p, a, done)
	if err != nil {
		return Outcome{}, err
	}
	out.Kind, out.Step, out.Attempt = a.Kind, a.Step, a.Attempt
	if out.Class == store.StepDiskFull && !strings.Contains(out.Detail, "; free ") {
		out.Detail += "; free disk space, then start the run again"
	}
	x.keepLeft(p, a, done, out)
	if err := x.end(ctx, p, a, out); err != nil {
		return Outcome{}, err
	}
	level := slog.LevelInfo
	if out.Class != store.StepOK {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, "step ended", "class", out.Class, "detail", out.Detail)
	return out, nil
}

// perform does the work of an action.
func (x *Executor) perform(ctx context.Context, p Plan, a Action, done []Outcome) (Outcome, error) {
	switch a.Kind {
	case ActProve:
		return x.proveFormer(ctx, p, done)
	case ActFree:
		return x.free(ctx, p, a)
	case ActRestore:
		return x.restore(ctx, p, done)
	}
	step := p.Steps[a.Step]
	if a.Kind == ActUndo {
		if err := waitForUndo(ctx, p, a); err != nil {
			return Outcome{}, err
		}
		if step.Do.servesRelease() {
			return x.strategy(step).undeploy(ctx, p, a, step)
		}
		if step.Act != nil {
			return x.act(ctx, p, a, step)
		}
		return x.command(ctx, p, a, step, step.Undo)
	}
	return x.doStep(ctx, p, a, done)
}

// doStep runs one step of the pipeline, unless the run was cancelled.
func (x *Executor) doStep(ctx context.Context, p Plan, a Action, done []Outcome) (Outcome, error) {
	step := p.Steps[a.Step]
	// Even in a cancelled run, a command that an earlier process has started must end before anything is undone.
	begun := runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt))
	if by, err := x.cancelled(ctx, p); err != nil || by != "" && !begun {
		return cancelledBy(by), err
	}
	if !begun {
		if err := x.keepFormer(ctx, p); err != nil {
			return failed(ctx, store.StepFailed, err)
		}
	}
	if !begun {
		if out, full, err := x.room(ctx, p, step); full || err != nil {
			return out, err
		}
	}
	if p.Parent != nil && a.Attempt == 1 && !begun && slices.Contains(p.Parent.Carry, step.Name) {
		return x.carryOrDo(ctx, p, a, done)
	}
	return x.doWork(ctx, p, a, done)
}

// doWork does the work of a step.
func (x *Executor) doWork(ctx context.Context, p Plan, a Action, done []Outcome) (Outcome, error) {
	step := p.Steps[a.Step]
	if step.Do == "" {
		return x.inQuietHours(ctx, p, a, step)
	}
	if step.Do.servesRelease() {
		return x.strategy(step).deploy(ctx, p, a, step, done)
	}
	if step.Act != nil {
		return x.act(ctx, p, a, step)
	}
	switch step.Do {
	case DoPredict:
		return x.predict(ctx, p, a, step, done)
	case DoCheck:
		return x.checkFiles(ctx, p, a, step)
	case DoStage:
		return x.stage(ctx, p, a, step)
	case DoLabel:
		return x.label(ctx, p, a, step)
	}
	if step.Do == DoVerify {
		step.Timeout = p.verifyTimeout(step)
	}
	bounded, stop := x.bounded(ctx, p, step)
	defer stop()
	var out Outcome
	var err error
	switch step.Do {
	case DoExport:
		if out, err = x.export(bounded, p); err == nil && out.Class == store.StepOK {
			if problem := x.place(p, step); problem != nil {
				out, err = failed(bounded, store.StepFailed, problem)
			}
		}
	case DoGate:
		out, err = x.gate(bounded, p, done)
	case DoVerify:
		out, err = x.verify(bounded, p, done)
	default:
		out = Outcome{Class: store.StepFailed, Detail: fmt.Sprintf("this version has no built-in step %q", step.Do)}
	}
	return ended(step, out, err)
}

// failed turns an error of a step's work into an outcome. A failure because of a full disk gets the class disk_full. If
// ctx has ended, failed returns the cause of that end as an error instead.
func failed(ctx context.Context, class store.StepState, err error) (Outcome, error) {
	if ctx.Err() != nil {
		return Outcome{}, context.Cause(ctx)
	}
	if class == store.StepFailed && durable.DiskFull(err) {
		class = store.StepDiskFull
	}
	return Outcome{Class: class, Detail: err.Error()}, nil
}

// begin records, once, that an action is in progress.
func (x *Executor) begin(ctx context.Context, p Plan, a Action) error {
	return x.durably(ctx, func() error {
		return x.Store.Update(ctx, "step begins", func(t *store.Tx) error {
			if _, known, err := stepOf(t, p, a); err != nil || known {
				return err // a repeated call: the existing record stays
			}
			if _, err := t.StartRun(p.Run, now()); err != nil {
				return err
			}
			return t.PutStep(store.Step{
				Run: p.Run, Ord: a.Ord, Name: title(p, a), Attempt: a.Attempt, Kind: string(a.Kind),
				State: store.StepRunning, Started: now(),
			})
		})
	})
}

func stepOf(t *store.Tx, p Plan, a Action) (store.Step, bool, error) {
	steps, err := t.Steps(p.Run)
	i := slices.IndexFunc(steps, func(s store.Step) bool { return s.Ord == a.Ord })
	if err != nil || i < 0 {
		return store.Step{}, false, err
	}
	return steps[i], true, nil
}

// end records how an action ended and stores its notification, once.
func (x *Executor) end(ctx context.Context, p Plan, a Action, out Outcome) error {
	return x.durably(ctx, func() error {
		return x.Store.Update(ctx, "step ends", func(t *store.Tx) error {
			s, _, err := stepOf(t, p, a)
			if err != nil || s.State == out.Class {
				return err // already recorded, by a process that died before the engine recorded the end
			}
			began := s.Started
			kind := string(a.Kind)
			if out.Carried {
				kind = store.KindCarried
			}
			if err := t.PutStep(store.Step{
				Run: p.Run, Ord: a.Ord, Name: title(p, a), Attempt: a.Attempt, Kind: kind,
				State: out.Class, Detail: out.Detail, Started: began, Ended: now(),
			}); err != nil {
				return err
			}
			return x.notify(t, notify.RunStep, p.Model, p.Run, notify.Step{
				Run: p.Run, Step: title(p, a), Index: a.Step + 1, Of: len(p.Steps), State: string(out.Class), Attempt: a.Attempt,
				Seconds: now().Sub(began).Seconds(), Detail: out.Detail, GPUIdle: out.Facts.GPUIdle,
			})
		})
	})
}

// notify stores an event in the transaction of the state change that it reports.
func (x *Executor) notify(t *store.Tx, kind notify.Kind, model, run string, data any) error {
	return Notify(t, x.Host, kind, model, run, data)
}

// Notify creates an event and puts it into the outbox, in the transaction of the state change that it reports.
func Notify(t *store.Tx, host string, kind notify.Kind, model, run string, data any) error {
	e, err := notify.New(kind, model, run, data, now())
	if err != nil {
		return err
	}
	body, err := notify.Encode(e, host)
	if err != nil {
		return err
	}
	return t.Notify(store.Notification{
		ID: e.ID, Kind: string(kind), Model: model, Subject: notify.Subject(model, kind),
		Key: e.Key, Body: body, Created: e.At,
	})
}

// durably repeats a write until it succeeds or this process ends: a full disk delays a run but does not fail it.
func (x *Executor) durably(ctx context.Context, write func() error) error {
	var last string
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := write()
		if err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			x.Log.Error("access to the state of the run failed; trying again", "err", err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(0))
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	return err
}

// title returns the name of an action in the journal.
func title(p Plan, a Action) string {
	switch a.Kind {
	case ActDo:
		return p.Steps[a.Step].Name
	case ActUndo:
		return "undo " + p.Steps[a.Step].Name
	}
	return string(a.Kind)
}

func (p Plan) dataDir() string { return filepath.Join(p.RunDir, "data") }

// workDir returns the directory that the steps of a run share; it is deleted at the end of the run.
func (p Plan) workDir() string { return filepath.Join(p.RunDir, "work") }

// releaseDir returns the directory of the candidate, or of the release that a run rolls back.
func (p Plan) releaseDir() string {
	run := p.Run
	if p.Rollback != nil {
		run = p.Rollback.Run
	}
	return filepath.Join(p.ModelDir, "releases", run)
}

func (p Plan) targets() []serving.Target {
	return p.Serving.List()
}
