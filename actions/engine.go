package actions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // the engine's dialect for SQLite

	"github.com/retraind/retraind/internal/faults"
)

// workflowVersion stays the same when retraind is upgraded: the engine resumes only runs of its own version, and an
// upgraded binary must resume the runs of the previous one. Change it only together with a change of Next that is
// incompatible with old journals.
const workflowVersion = "1"

const queueName = "runs"

// queuePoll is the maximum delay until the engine sees a queued run.
const queuePoll = 250 * time.Millisecond

// Engine runs plans as durable workflows: a run that was in progress when the process died resumes with the action that
// was interrupted. Safe for concurrent use.
type Engine struct {
	dbos     dbos.Context
	queue    dbos.Queue
	executor *Executor
	run      dbos.Workflow[Plan, Result]
}

// NewEngine opens the engine on its own database, which must commit with synchronous=FULL. Nothing runs before Launch.
func NewEngine(ctx context.Context, db *sql.DB, executor *Executor, host string, log *slog.Logger) (*Engine, error) {
	// The engine's context outlives ctx, because Shutdown must stop the engine at its place in the teardown.
	d, err := dbos.NewContext(context.WithoutCancel(ctx), dbos.Config{
		AppName: "retraind", SQLiteSystemDB: db, ApplicationVersion: workflowVersion, ExecutorID: host,
		Logger: slog.New(lowerLevel{log.Handler()}).With("component", "engine"),
	})
	if err != nil {
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	faults.Point("engine")
	e := &Engine{dbos: d, executor: executor}
	e.run = e.workflow
	dbos.RegisterWorkflow(d, e.run, dbos.WithWorkflowName("run"), dbos.WithMaxRecoveryAttempts(1_000_000))
	return e, nil
}

// Launch starts the execution of runs, beginning with those that an earlier process left unfinished. Up to atOnce runs
// of different models are executed at once; the others wait in the order of their submission.
func (e *Engine) Launch(atOnce int) error {
	if err := dbos.Launch(e.dbos); err != nil {
		return fmt.Errorf("workflow engine: %w", err)
	}
	q, err := dbos.RegisterQueue(e.dbos, queueName, dbos.WithWorkerConcurrency(max(1, atOnce)),
		dbos.WithQueueBasePollingInterval(queuePoll))
	if err != nil {
		return fmt.Errorf("workflow engine: %w", err)
	}
	e.queue = q
	return nil
}

// submitPatience is how long Submit waits for the model's former run to leave the queue. A run leaves it shortly after
// its end is recorded.
const submitPatience = 2 * time.Second

// Submit submits a plan. Submitting the same run again has no effect. It returns an error if another run of the model
// is still open; the caller then submits again later.
func (e *Engine) Submit(p Plan) error {
	wait := time.NewTicker(10 * time.Millisecond)
	defer wait.Stop()
	for start := time.Now(); ; <-wait.C {
		_, err := dbos.RunWorkflow(e.dbos, e.run, p, dbos.WithWorkflowID(p.Run), dbos.WithQueue(e.queue),
			dbos.WithDeduplicationID(p.Model))
		switch {
		case err == nil:
			faults.Point("submitted")
			return nil
		case !errors.Is(err, dbos.ErrQueueDeduplicated):
			return fmt.Errorf("submit run %s: %w", p.Run, err)
		case time.Since(start) > submitPatience:
			return fmt.Errorf("submit run %s: another run of model %s is still open: %w", p.Run, p.Model, err)
		}
	}
}

// Shutdown stops executing. Actions in progress are interrupted without a record and executed again by the next
// process; commands continue to run.
func (e *Engine) Shutdown(patience time.Duration) error { return dbos.Shutdown(e.dbos, patience) }

// workflow executes a complete run: it calls Next, performs the action, records the outcome, and repeats. Its only
// state is the journal.
func (e *Engine) workflow(ctx dbos.Context, p Plan) (Result, error) {
	var done []Outcome
	for {
		a, more := Next(p, done)
		if !more {
			return Result{}, nil
		}
		out, err := dbos.RunAsStep(ctx, func(ctx context.Context) (Outcome, error) {
			return e.executor.Execute(ctx, p, a, done)
		}, dbos.WithStepName(title(p, a)))
		if err != nil {
			return Result{}, err
		}
		faults.Point("recorded:" + title(p, a))
		done = append(done, out)
		if a.Kind == ActFinish {
			return a.Result, nil
		}
	}
}

// lowerLevel lowers the engine's log levels by one: info becomes debug. The engine also returns its errors, and the
// callers log them.
type lowerLevel struct{ slog.Handler }

func lower(l slog.Level) slog.Level { return l - (slog.LevelInfo - slog.LevelDebug) }

// Enabled implements slog.Handler.
func (h lowerLevel) Enabled(ctx context.Context, l slog.Level) bool {
	return h.Handler.Enabled(ctx, lower(l))
}

// Handle implements slog.Handler.
func (h lowerLevel) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h lowerLevel) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lowerLevel{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h lowerLevel) WithGroup(name string) slog.Handler {
	return lowerLevel{h.Handler.WithGroup(name)}
}
