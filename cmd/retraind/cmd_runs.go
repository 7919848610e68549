package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
)

const manyRuns = 20

func newRuns(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "runs", Short: "List, show and cancel runs, and print their output", Args: cobra.NoArgs,
		Long: `List, show and cancel runs, and print their output. A run is named by its id or by the last characters of it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listRuns(cmd, "", manyRuns) },
	}
	cmd.AddCommand(newRunsList(a), newRunsShow(a), newRunsLogs(a), newRunsCancel(a))
	return cmd
}

func newRunsList(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [MODEL]", Short: "List the newest runs", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return fail(exitUsage, "--number %d: write a number from 1 on", limit)
			}
			return a.listRuns(cmd, strings.Join(args, ""), limit)
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", manyRuns, "how many")
	return cmd
}

func (a *app) listRuns(cmd *cobra.Command, model string, limit int) error {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	runs, err := c.Runs(context.Background(), model, limit)
	if err != nil {
		return err
	}
	if a.json {
		if runs == nil {
			runs = []status.Run{}
		}
		return a.printJSON(runs)
	}
	return showRuns(newPage(a.stdout), runs, time.Now())
}

func newRunsShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Show one run with its steps", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.Run(context.Background(), args[0])
			if err != nil {
				return err
			}
			return a.showRun(context.Background(), c, r)
		},
	}
}

// showRun prints a run with its times in the daemon's zone.
func (a *app) showRun(ctx context.Context, c *status.Client, r status.Run) error {
	if a.json {
		return a.printJSON(r)
	}
	now := time.Now()
	if s, err := c.Snapshot(ctx); err == nil {
		now = s.At
	}
	return showRun(newPage(a.stdout), r, now)
}

func newRunsLogs(a *app) *cobra.Command {
	var step string
	cmd := &cobra.Command{
		Use: "logs RUN", Short: "Print the output of a run's commands", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
			return a.printLogs(l.File.State, r, step)
		},
	}
	cmd.Flags().StringVar(&step, "step", "", "only this step")
	return cmd
}

// output is what one attempt of a step printed.
type output struct {
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
	Text    string `json:"text"`
}

func (a *app) printLogs(state string, r status.Run, step string) error {
	var found []output
	for _, s := range r.Steps {
		name := strings.Replace(s.Name, "undo ", "undo-", 1)
		if step != "" && s.Name != step {
			continue
		}
		path := runner.LogFile(actions.AttemptDir(filepath.Join(state, "models", r.Model, "runs", r.ID), name, s.Attempt))
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // a built-in step, or one that has not begun
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
		return fail(exitNotFound, "run %s has no output of commands%s", text.RunID(r.ID), where)
	}
	if a.json {
		return a.printJSON(found)
	}
	for _, o := range found {
		fmt.Fprintf(a.stdout, "==> %s, attempt %d <==\n%s", o.Step, o.Attempt, o.Text)
		if !strings.HasSuffix(o.Text, "\n") {
			fmt.Fprintln(a.stdout)
		}
	}
	return nil
}

func newRunsCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN", Short: "End a run: its command is stopped, what it began is taken back", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Cancel(context.Background(), args[0], ""); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"cancelled": args[0]})
			}
			fmt.Fprintln(a.stdout, "the run ends; see: retraind runs show", args[0])
			return nil
		},
	}
}
