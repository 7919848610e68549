// Package demo runs retraind with everything around it on one machine, and shows in under a minute what it does.
//
// It contains the scenario: a table of labelled texts in a private PostgreSQL, people who correct labels in the table,
// an author who shuffles labels, a classifier service with clients that send requests continuously, and a subscriber.
// The scenario does only what a user can do. The daemon is a separate process with an ordinary configuration file,
// controlled by files, signals, SQL and its control socket, and contains no code for the demo. Only one Play may run at
// a time in a process.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Options are the options of a demo.
type Options struct {
	Self string // path of this binary
	Data string // JSON lines to use instead of generated texts
	Seed uint64
	Keep bool      // leave everything running at the end, until ctx ends
	Out  io.Writer // where the demo is shown; nil shows nothing
	Live bool      // Out is a terminal
}

// budget limits a single wait of the scenario.
const budget = 40 * time.Second

// Play runs the scenario and returns what happened. It returns an error if the scenario could not run; Result says
// whether the outcome is as expected.
func Play(ctx context.Context, o Options) (Result, error) {
	start := time.Now()
	s, err := newStory(o.Data, o.Seed)
	if err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "retraind-demo-")
	if err != nil {
		return Result{}, err
	}
	// Only the user who runs the demo can access the directory. PostgreSQL may run as another user and has a directory of
	// its own.
	w := &world{self: o.Self, dir: dir, story: s}
	stage := newStage(o, w, start)
	defer stage.close()
	result := Result{Items: len(s.items)}
	err = play(ctx, w, stage)
	if err == nil {
		err = settle(ctx, w, &result)
	}
	result.Seconds = time.Since(start).Seconds()
	stage.close()
	if err == nil && o.Keep && o.Out != nil {
		stage.ending(result)
		keep(ctx, o.Out, w)
		return result, w.close()
	}
	if err != nil && w.daemon != nil {
		err = fmt.Errorf("%w\nthe daemon's last output:\n%s", err, w.daemon.log.tail())
	}
	err = errors.Join(err, w.close())
	if err == nil {
		stage.ending(result)
	}
	return result, err
}

// play runs the scenario: the first release, then three acts.
func play(ctx context.Context, w *world, st *stage) error {
	st.scene("setting up", "")
	if err := w.build(ctx, st.note); err != nil {
		return err
	}
	var err error
	if w.listener, err = listen(w.natsURL, w.natsKey(), st.told); err != nil {
		return fmt.Errorf("subscribe to events: %w", err)
	}
	st.follow(ctx)

	st.scene("the first release", "nothing is deployed yet; SIGUSR1 forces a retrain")
	if err := w.daemon.signal(syscall.SIGUSR1); err != nil {
		return err
	}
	if _, err := w.awaitRun(ctx, 1); err != nil {
		return err
	}
	w.startClients()

	first, second := w.story.pairs[0], w.story.pairs[1]
	corrections := w.story.split(first)
	st.scene("act 1: labels are corrected",
		fmt.Sprintf("annotators change the label of %d texts from %q to %q, in 30 transactions", len(corrections), first.into,
			first.from))
	if err := w.act(ctx, 2, "anna", corrections, 30); err != nil {
		return err
	}

	poison, cure := w.story.poison(7)
	st.scene("act 2: labels are poisoned", fmt.Sprintf("user mallory shuffles %d labels", len(poison)))
	if err := w.act(ctx, 3, "mallory", poison, 30); err != nil {
		return err
	}
	st.note("the labels are corrected again")
	if err := w.db.edit(ctx, "anna", cure, 20, 500*time.Millisecond); err != nil {
		return err
	}

	corrections = w.story.split(second)
	st.scene("act 3: a deploy that serves the old model",
		fmt.Sprintf("%d more texts change from %q to %q; the service now reads its model only at start", len(corrections),
			second.into, second.from))
	if err := w.exchangeService(ctx, false); err != nil {
		return err
	}
	return w.act(ctx, 4, "anna", corrections, 30)
}

// act changes labels, opens a window some seconds later, and waits for the run that the changes cause. It opens the
// window last, so that the run includes all of the changes on a slow machine too.
func (w *world) act(ctx context.Context, run int, author string, changes []change, transactions int) error {
	if err := w.db.edit(ctx, author, changes, transactions, 2*time.Second); err != nil {
		return err
	}
	if err := w.openWindow(3 * time.Second); err != nil {
		return err
	}
	if _, err := w.awaitRun(ctx, run); err != nil {
		return err
	}
	return w.closeWindow() // a retrain that these labels still cause waits for the next window
}

// awaitRun waits for the end of the n-th run.
func (w *world) awaitRun(ctx context.Context, n int) (status.Run, error) {
	ctx, stop := context.WithTimeoutCause(ctx, budget, fmt.Errorf("run %d did not end within %s", n, budget))
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		runs, err := w.client.Runs(ctx, modelName, 50)
		if err == nil && len(runs) >= n && runs[len(runs)-n].State == store.RunEnded {
			return runs[len(runs)-n], nil
		}
		select {
		case <-ctx.Done():
			return status.Run{}, context.Cause(ctx)
		case <-w.daemon.done:
			return status.Run{}, errors.New("the daemon ended before the run did")
		case <-tick.C:
		}
	}
}

// settle stops the clients. Then it collects the results until they are as expected, for at most 15 seconds, because
// the last events may still be arriving.
func settle(ctx context.Context, w *world, r *Result) error {
	w.stopAsk()
	w.stopAsk = nil
	clients := w.asker.Load()
	ctx, stop := context.WithTimeout(ctx, 15*time.Second)
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		runs, err := w.client.Runs(ctx, modelName, 50)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		now := Result{
			Items: r.Items, LabelChanges: w.db.changed.Load(), Requests: clients.requests.Load(),
			FailedRequests: clients.failed.Load(),
		}
		now.judge(runs, w.listener.received())
		if now.FailedRequests > 0 {
			now.problem("the first failed request: %s", clients.firstFailure())
		}
		*r = now
		if r.OK {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // an event still missing now is lost
		case <-tick.C:
		}
	}
}

// headline returns a short description of an event, or "" if the event is less important.
func headline(e notify.Event) string {
	switch e.Kind {
	case notify.DriftTripped:
		d, _ := notify.Unpack[notify.Drift](e)
		if d.Now == nil {
			return "a condition trips"
		}
		return fmt.Sprintf("a condition trips: accuracy %.1f%% of %d held-out items", 100*d.Now.Accuracy, d.Now.N)
	case notify.DriftCleared:
		return "no condition trips any longer"
	case notify.RunScheduled:
		d, _ := notify.Unpack[notify.Scheduled](e)
		if strings.HasPrefix(d.Waits, "cooldown") {
			return "" // lasts only seconds in the demo
		}
		return "a retrain is due; it waits: " + d.Waits
	case notify.RunStarted:
		d, _ := notify.Unpack[notify.Started](e)
		return "run " + text.RunID(d.Run) + " starts: " + d.Reason
	case notify.RunFinished:
		d, _ := notify.Unpack[notify.Finished](e)
		return fmt.Sprintf("run %s %s after %.1f s", text.RunID(d.Run), d.Outcome, d.Seconds)
	case notify.ModelDeployed:
		d, _ := notify.Unpack[notify.Deployed](e)
		return fmt.Sprintf("release %.12s serves: accuracy %.1f%% of %d held-out items", trim(d.Release),
			100*d.After.Accuracy, d.After.N)
	case notify.ModelRejected:
		d, _ := notify.Unpack[notify.Rejected](e)
		return "refused: " + d.Reason
	case notify.ModelRolledBack:
		d, _ := notify.Unpack[notify.RolledBack](e)
		return "rolled back: " + d.Reason
	case notify.ConfigReloaded:
		return "the configuration was read again"
	case notify.ConfigRejected:
		return "a configuration was refused"
	}
	return ""
}

func trim(digest string) string {
	if len(digest) > 7 && digest[:7] == "sha256:" {
		return digest[7:]
	}
	return digest
}
