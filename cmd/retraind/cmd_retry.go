package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
)

func newRunsRetry(a *app) *cobra.Command {
	var from string
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "retry RUN", Short: "Repeat a run from the step that failed", Args: cobra.ExactArgs(1),
		Long: `Start a run that repeats an ended one, with the steps as they are configured now, beginning with the failed
step or with another one (--from).

The results of the exports and commands before that step, and the record of what was trained on, are reused if
their files are unchanged and neither the steps nor the programs that the steps run have changed. A command with an undo
is executed again, because it was undone. The earlier run is not changed. Like a trigger, it also starts if the model
is paused, in cooldown, over budget or outside quiet hours; a hold still prevents it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, end, err := a.patientClient(cmd, timeout)
			if err != nil {
				return err
			}
			defer end()
			t, err := c.Retry(ctx, args[0], from, "")
			if errors.Is(err, errGaveUp) {
				return fail(exitGaveUp, "gave up waiting for the daemon's answer; the run may still start; see: retraind runs list")
			}
			if err != nil {
				return err
			}
			if wait {
				return a.waitRun(ctx, c, t.Run)
			}
			if a.json {
				return a.printJSON(t)
			}
			say(a.stdout, "%s", t.Text)
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the step to start with (default: the failed one)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the run's end; exit 7 if the new model was not promoted")
	cmd.Flags().DurationVar(&timeout, "timeout", 12*time.Hour, "how long to wait; exit 8 after it")
	return cmd
}
