package status

import (
	"context"
	"errors"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

// Errors that a Backend wraps and that a Client returns wrapped, so that errors.Is works on both sides of the socket.
var (
	// ErrUnreachable: no daemon listens on the socket, the caller may not open it, or the connection broke.
	ErrUnreachable = errors.New("daemon not reachable")
	// ErrNoAnswer: no answer came in time; whether the daemon carried out a change is unknown.
	ErrNoAnswer = errors.New("timed out")
	// ErrNotFound: there is no such model, run or release.
	ErrNotFound = errors.New("not found")
	// ErrRefused: refused by a safety rule, or the caller has no permission.
	ErrRefused = errors.New("refused")
)

// Reader has the queries of the API, the page and the command line. A run is named by its id or by a suffix of it.
type Reader interface {
	Snapshot(ctx context.Context) (Status, error)
	// Explain returns the decision of a model that was in force at the time `at`; zero means now. If `run` is not "", it
	// returns the decision that started that run.
	Explain(ctx context.Context, model, run string, at time.Time) (policy.Decision, error)
	// History returns the evaluations since a time, oldest first.
	History(ctx context.Context, model string, since time.Time) ([]Point, error)
	// Diagnose explains the model's accuracy and the causes of a drop; it may take seconds.
	Diagnose(ctx context.Context, model string) (drift.Diagnosis, error)
	// Runs returns the newest runs first; model "" means all.
	Runs(ctx context.Context, model string, limit int) ([]Run, error)
	Run(ctx context.Context, id string) (Run, error)
	// Releases returns the newest releases first.
	Releases(ctx context.Context, model string) ([]Release, error)
	// Subscribe streams the events from now on. The channel is closed when ctx ends, or when the reader is too slow.
	Subscribe(ctx context.Context) <-chan Event
}

// Serving checks what the service really serves, and resolves a difference from the champion.
type Serving interface {
	// Verify checks now which model the service serves.
	Verify(ctx context.Context, model string) (Served, error)
	// Adopt makes the served model the champion.
	Adopt(ctx context.Context, model, by string) (Done, error)
	// Redeploy starts a run that deploys the champion again.
	Redeploy(ctx context.Context, model, by string) (Done, error)
}

// Backend is the daemon behind the socket.
type Backend interface {
	Reader
	Serving
	// Trigger starts a retraining now; it ignores thresholds, limits, pauses and quiet hours, but no safety rule.
	Trigger(ctx context.Context, model string, r Request) (Triggered, error)
	// Evaluate evaluates the model now.
	Evaluate(ctx context.Context, model string) (drift.Report, error)
	// AddLabels stores label events: one, a list, or JSON Lines. `by` is the author of events that name no author; `run`
	// is the run that sends them, "" if a person does.
	AddLabels(ctx context.Context, model string, events []byte, by, run string) (Added, error)
	// AcceptLabels accepts the full read that was refused because too many items were missing.
	AcceptLabels(ctx context.Context, model, by string) error
	// Pin excludes a release's files from the deletion of old ones; Unpin reverts that. `release` is the digest or a
	// prefix of it.
	Pin(ctx context.Context, model, release string, p Pin) (Done, error)
	Unpin(ctx context.Context, model, release, by string) (Done, error)
	// Cancel ends a run at its next safe point.
	Cancel(ctx context.Context, run, by string) error
	// Retry starts a run that repeats an ended one, beginning with the step `from`, or with the failed one if that is "".
	Retry(ctx context.Context, run, from, by string) (Triggered, error)
	// Pause prevents automatic runs of one model or, with Every, of all models; a request still starts a run.
	Pause(ctx context.Context, model string, p Pause) error
	// Hold prevents all runs of a model, requested ones included, until somebody resumes the model.
	Hold(ctx context.Context, model string, p Pause) error
	// Resume ends the hold and the pause of a model or, with Every, the pause of all models.
	Resume(ctx context.Context, model, by string) error
	// Reload reads the configuration again. An error says why the old configuration stays in force.
	Reload(ctx context.Context) error
}
