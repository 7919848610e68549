package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/status"
)

func newRuns(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "runs", Short: "List, show, follow and cancel runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listRuns(cmd, "", 20) },
	}
	cmd.AddCommand(newRunsList(a), newRunsShow(a), newRunsLogs(a), newRunsCancel(a))
	return cmd
}

func newRunsList(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [MODEL]", Short: "List the newest runs", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			model := ""
			if len(args) == 1 {
				model = args[0]
			}
			return a.listRuns(cmd, model, limit)
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", 20, "how many")
	return cmd
}

func (a *app) listRuns(cmd *cobra.Command, model string, limit int) error {
	c := a.client(cmd)
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
	if len(runs) == 0 {
		fmt.Fprintln(a.stdout, "no run yet")
		return nil
	}
	t := newTable("run", "model", "began", "took", "outcome", "reason")
	for _, r := range runs {
		t.Row(shortRun(r.ID), r.Model, when(r.Created, time.Now()), r.Took(time.Now()).Round(time.Second).String(), outcome(r), cut(r.Reason, 70))
	}
	_, err = lipgloss.Fprintln(a.stdout, t)
	return err
}

// newTable is the look of every table.
func newTable(headers ...string) *table.Table {
	return table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		Headers(headers...).StyleFunc(func(row, _ int) lipgloss.Style {
		s := lipgloss.NewStyle().PaddingRight(1)
		if row == table.HeaderRow {
			s = s.Faint(true)
		}
		return s
	})
}

func outcome(r status.Run) string {
	word, colour := r.Outcome, "3"
	switch r.Outcome {
	case "":
		word, colour = r.State, "6"
	case "promoted":
		colour = "2"
	case "failed", "rolled_back":
		colour = "1"
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(colour)).Render(word)
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func newRunsShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Show one run with its steps", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client(cmd)
			defer c.Close()
			r, err := c.Run(context.Background(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(r)
			}
			return showRun(a.stdout, r, time.Now())
		},
	}
}

func showRun(w io.Writer, r status.Run, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s of %s  %s\n", r.ID, r.Model, outcome(r))
	fmt.Fprintf(&b, "  why      %s\n", r.Trigger)
	if r.Reason != "" {
		fmt.Fprintf(&b, "  result   %s\n", r.Reason)
	}
	if c := r.Accuracy; c != nil {
		before := "no release before"
		if c.Before != nil {
			before = fmt.Sprintf("%.1f %% before", 100**c.Before)
		}
		fmt.Fprintf(&b, "  accuracy %.1f %% (95 %% interval %.1f to %.1f) of %d held-out items, %s\n", 100*c.After, 100*c.Low, 100*c.High, c.N, before)
	}
	if r.Release != "" {
		fmt.Fprintf(&b, "  release  %s\n", actions.Short(r.Release))
	}
	t := newTable("step", "took", "state", "")
	for _, s := range r.Steps {
		took := ""
		if !s.Started.IsZero() {
			took = fmt.Sprintf("%.1f s", s.Seconds(now))
		}
		name := s.Name
		if s.Attempt > 1 {
			name += fmt.Sprintf(" (%d)", s.Attempt)
		}
		t.Row("  "+name, took, s.State, cut(s.Detail, 90))
	}
	b.WriteString(t.String() + "\n")
	_, err := lipgloss.Fprint(w, b.String())
	return err
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
			c := a.client(cmd)
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

func (a *app) printLogs(state string, r status.Run, step string) error {
	found := false
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
		found = true
		fmt.Fprintf(a.stdout, "==> %s, attempt %d <==\n%s", s.Name, s.Attempt, b)
	}
	if !found {
		return fail(exitNotFound, "run %s has no output of commands%s", shortRun(r.ID), map[bool]string{true: " in step " + step}[step != ""])
	}
	return nil
}

func newRunsCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN", Short: "End a run: its command is stopped, what it began is taken back", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client(cmd)
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
