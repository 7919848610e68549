package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
)

func newRunsLogs(a *app) *cobra.Command {
	var step string
	var follow bool
	cmd := &cobra.Command{
		Use: "logs RUN [STEP]", Short: "Print the output of a run's commands", Args: cobra.RangeArgs(1, 2),
		Long: `Print the output of a run's commands, or of one step.

With --follow, keep printing new output until the run ends, even if the daemon restarts, and exit like "runs wait".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				step = args[1]
			}
			l, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.Run(context.Background(), args[0])
			if err != nil {
				return err
			}
			if follow {
				ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
				defer stop()
				return a.followRun(ctx, c, newOutputs(a, l.File.State, step), r)
			}
			return a.printLogs(l.File.State, r, step)
		},
	}
	cmd.Flags().StringVar(&step, "step", "", "only this step")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print new output until the run ends; exit 7 if the new model was not promoted")
	return cmd
}

// output is the output of one attempt of a step.
type output struct {
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
	Text    string `json:"text"`
}

// logFile returns the path of the output of an attempt.
func logFile(state string, r status.Run, s status.Step) string {
	name := strings.Replace(s.Name, "undo ", "undo-", 1)
	return runner.LogFile(actions.AttemptDir(filepath.Join(state, "models", r.Model, "runs", r.ID), name, s.Attempt))
}

func (a *app) printLogs(state string, r status.Run, step string) error {
	var found []output
	for _, s := range r.Steps {
		if step != "" && s.Name != step {
			continue
		}
		b, err := os.ReadFile(logFile(state, r, s))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a built-in step, or a pending one
		}
		if err != nil {
			return err
		}
		found = append(found, output{s.Name, s.Attempt, string(b)})
	}
	if len(found) == 0 {
		where := ""
		if step != "" {
			where = " in step " + step
		}
		return fail(exitNotFound, "run %s has no command output%s", text.RunID(r.ID), where)
	}
	if a.json {
		return a.printJSON(found)
	}
	for _, o := range found {
		say(a.stdout, "==> %s, attempt %d <==", o.Step, o.Attempt)
		said := plainOutput(o.Text)
		if !strings.HasSuffix(said, "\n") {
			said += "\n"
		}
		if _, err := io.WriteString(a.stdout, said); err != nil {
			return err
		}
	}
	return nil
}

func newRunsWait(a *app) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "wait RUN", Short: "Wait until a run has ended, and show it", Args: cobra.ExactArgs(1),
		Long: `Wait until a run has ended, and show it. Exit code 0: its model serves; 7: the new model was not promoted; 8: the
time is up. Continues to wait if the daemon restarts.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, end, err := a.patientClient(cmd, timeout)
			if err != nil {
				return err
			}
			defer end()
			r, err := c.Run(ctx, args[0])
			if errors.Is(err, errGaveUp) {
				return fail(exitGaveUp, "gave up waiting for the daemon's answer")
			}
			if err != nil {
				return err
			}
			return a.waitRun(ctx, c, r.ID)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 12*time.Hour, "how long to wait; exit 8 after it")
	return cmd
}
