package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/status"
)

const manyRuns = 20

func newRuns(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "runs", Short: "List, show, follow, cancel and retry runs", Args: cobra.NoArgs,
		Long: `List, show, follow, cancel and retry runs. A run is named by its id or by the last characters of it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listRuns(cmd, "", manyRuns) },
	}
	cmd.AddCommand(newRunsList(a), newRunsShow(a), newRunsLogs(a), newRunsWait(a), newRunsCancel(a), newRunsRetry(a))
	return cmd
}

func newRunsList(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [MODEL]", Short: "List the newest runs", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return fail(exitUsage, "--number %d: must be at least 1", limit)
			}
			return a.listRuns(cmd, strings.Join(args, ""), limit)
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", manyRuns, "number of runs to list")
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

func newRunsCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN", Short: "End a run: its command is stopped and its steps are undone", Args: cobra.ExactArgs(1),
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
			say(a.stdout, "the run is being cancelled; see: retraind runs show %s", args[0])
			return nil
		},
	}
}
