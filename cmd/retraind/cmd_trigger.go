package main

import (
	"context"
	"errors"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

func newTrigger(a *app) *cobra.Command {
	var r status.Request
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "trigger MODEL",
		Short: "Retrain now, even if paused, in cooldown, over budget or outside quiet hours; a hold still prevents it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, end, err := a.patientClient(cmd, timeout)
			if err != nil {
				return err
			}
			defer end()
			newest := ""
			if wait {
				newest = newestRun(ctx, c, args[0])
			}
			t, err := c.Trigger(ctx, args[0], r)
			if errors.Is(err, errGaveUp) {
				return fail(exitGaveUp, "gave up waiting for the daemon's answer; the retrain may still start; see: retraind runs list")
			}
			if err != nil {
				return err
			}
			if !wait {
				if a.json {
					return a.printJSON(t)
				}
				say(a.stdout, "%s", t.Text)
				return nil
			}
			if t.Run == "" { // the evaluation that starts the run takes longer than the daemon's answer may
				say(a.stderr, "retraind: %s", t.Text)
				if t.Run, err = awaitStart(ctx, c, args[0], newest); err != nil {
					return err
				}
			}
			return a.waitRun(ctx, c, t.Run)
		},
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for the records")
	cmd.Flags().StringVar(&r.Pipeline, "pipeline", "", "pipeline to run (default: the one with the name default)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the run's end; exit 7 if the new model was not promoted")
	cmd.Flags().DurationVar(&timeout, "timeout", 12*time.Hour, "how long to wait; exit 8 after it")
	return cmd
}

var errGaveUp = errors.New("gave up waiting")

// patientClient returns a client and a context. The context ends with errGaveUp after the timeout, or at SIGINT and
// SIGTERM. end frees both.
func (a *app) patientClient(cmd *cobra.Command, timeout time.Duration) (
	ctx context.Context, c *status.Client, end func(), err error,
) {
	c, err = a.client(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errGaveUp)
	return ctx, c, func() {
		cancel()
		stop()
		c.Close()
	}, nil
}

// newestRun returns the id of a model's newest run, "" if there is none or if it is unknown.
func newestRun(ctx context.Context, c *status.Client, model string) string {
	runs, err := c.Runs(ctx, model, 1)
	if err != nil || len(runs) == 0 {
		return ""
	}
	return runs[0].ID
}

// awaitStart waits until a stored request has become a run, and returns its id: the first requested run after the given
// one.
func awaitStart(ctx context.Context, c *status.Client, model, after string) (string, error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		runs, err := c.Runs(ctx, model, manyRuns)
		for _, r := range slices.Backward(runs) { // the newest one is the first
			if r.Forced && r.ID > after {
				return r.ID, nil
			}
		}
		if err != nil && ctx.Err() == nil && !away(err) {
			return "", err
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errGaveUp) {
				return "", fail(exitGaveUp, "gave up waiting for the run, which the next evaluation starts; see: retraind runs list")
			}
			return "", errInterrupted
		case <-tick.C:
		}
	}
}

// away reports whether the daemon may answer later, because it restarts or is busy.
func away(err error) bool {
	return errors.Is(err, status.ErrUnreachable) || errors.Is(err, status.ErrNoAnswer)
}

// waitRun waits for the end of a run and turns its outcome into the exit code.
func (a *app) waitRun(ctx context.Context, c *status.Client, id string) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := c.Run(ctx, id)
		if err == nil && r.State == store.RunEnded {
			err = a.showRun(ctx, c, r)
			if err == nil && r.Outcome != policy.OutcomePromoted {
				return silent(exitNotPromoted)
			}
			return err
		}
		if err != nil && ctx.Err() == nil && !away(err) {
			return err
		}
		select {
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errGaveUp) {
				say(a.stderr, "run %s continues; see: retraind runs show %[1]s", text.RunID(id))
				return errInterrupted
			}
			return fail(exitGaveUp, "gave up waiting for run %s, which continues; see: retraind runs show %s", text.RunID(id),
				text.RunID(id))
		case <-tick.C:
		}
	}
}
