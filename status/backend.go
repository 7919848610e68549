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
	// ErrUnreachable: no daemon listens on the socket.
	ErrUnreachable = errors.New("daemon not reachable")
	// ErrNoAnswer: a daemon accepted the request and did not answer in time; whether it carried out a change is unknown.
	ErrNoAnswer = errors.New("timed out")
	// ErrNotFound: there is no such model, run or release.
	ErrNotFound = errors.New("not found")
	// ErrRefused: refused by a safety rule, or the caller has no permission.
	ErrRefused = errors.New("refused")
)

// Reader has the queries of the API, the page and the command line. A run is named by its id or by the end of it.
type Reader interface {
	Snapshot(ctx context.Context) (Status, error)
	// Explain returns the model's last decision, the one that started a run, or the one in force at a time: a zero at
	// means now.
	Explain(ctx context.Context, model, run string, at time.Time) (policy.Decision, error)
	// History returns the evaluations since a time, oldest first.
	History(ctx context.Context, model string, since time.Time) ([]Point, error)
	// Diagnose analyses the causes of the accuracy; it may take seconds.
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
	// Trigger starts a retraining now; it skips thresholds, cooldown and quiet hours, never a safety rule.
	Trigger(ctx context.Context, model string, r Request) (Triggered, error)
	// Evaluate evaluates the model now.
	Evaluate(ctx context.Context, model string) (drift.Report, error)
	// AddLabels stores label events: one, a list, or JSON Lines. by is the author of events that name none; run is the
	// run that they are part of, "" for people.
	AddLabels(ctx context.Context, model string, events []byte, by, run string) (Added, error)
	// AcceptLabels accepts the full read that was refused because too many items were missing.
	AcceptLabels(ctx context.Context, model, by string) error
	// Pin keeps the files of a release, named by its digest or a start of it, whatever the rules of retention say; Unpin ends
	// that.
	Pin(ctx context.Context, model, release string, p Pin) (Done, error)
	Unpin(ctx context.Context, model, release, by string) (Done, error)
	// Cancel ends a run at its next safe point.
	Cancel(ctx context.Context, run, by string) error
	// Retry starts a run that repeats one that has ended, from the failed step or the named one on.
	Retry(ctx context.Context, run, from, by string) (Triggered, error)
	// Pause stops automatic runs, for one model or, with Every, for all of them; a request still starts a run.
	Pause(ctx context.Context, model string, p Pause) error
	// Hold stops all runs, requested ones included, until somebody resumes the model.
	Hold(ctx context.Context, model string, p Pause) error
	// Resume ends the hold and the pause of a model, or, with Every, the pause of all.
	Resume(ctx context.Context, model, by string) error
	// Reload reads the configuration again; the error is why the old one stays in force.
	Reload(ctx context.Context) error
}
