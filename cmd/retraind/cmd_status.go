package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/status"
)

func newStatus(a *app) *cobra.Command {
	var healthy bool
	cmd := &cobra.Command{
		Use: "status [MODEL]", Short: "Show what each model's watch is doing", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client(cmd)
			defer c.Close()
			s, err := c.Snapshot(context.Background())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if s.Models = only(s.Models, args[0]); len(s.Models) == 0 {
					return fail(exitNotFound, "no model %q is configured", args[0])
				}
			}
			if a.json {
				err = a.printJSON(s)
			} else {
				err = showStatus(a.stdout, s)
			}
			if err == nil && healthy && !isHealthy(s) {
				return silent(exitNo)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&healthy, "check", false, "exit 3 when something is broken, held, or the last reload was refused")
	return cmd
}

func only(models []status.Model, name string) []status.Model {
	for _, m := range models {
		if m.Name == name {
			return []status.Model{m}
		}
	}
	return nil
}

func isHealthy(s status.Status) bool {
	for _, m := range s.Models {
		if m.Phase == status.Broken || m.Phase == status.Held {
			return false
		}
	}
	return s.Config.Problem == ""
}

var phaseColour = map[status.Phase]string{
	status.Watching: "2", status.Asleep: "4", status.Armed: "3", status.Running: "6", status.Held: "1", status.Broken: "1",
}

func showStatus(w io.Writer, s status.Status) error {
	var b strings.Builder
	for _, m := range s.Models {
		phase := lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color(phaseColour[m.Phase])).Render(strings.ToUpper(string(m.Phase)))
		fmt.Fprintf(&b, "%s  %s  %s\n", lipgloss.NewStyle().Bold(true).Render(m.Name), phase, m.Sentence)
		line := func(key, format string, args ...any) {
			fmt.Fprintf(&b, "  %-9s %s\n", key, fmt.Sprintf(format, args...))
		}
		if m.Release != "" {
			line("release", "%s since %s", actions.Short(m.Release), when(m.Deployed, s.At))
		} else {
			line("release", "none yet")
		}
		if r := m.Report; r != nil {
			line("accuracy", "%s", accuracySentence(*r))
			line("labels", "%d items, %d changed since the training (%.1f %%)", r.Labels.Items, r.Labels.Changed, 100*r.Labels.Share)
		}
		if m.Last != nil {
			line("last run", "%s %s %s: %s", shortRun(m.Last.ID), m.Last.Outcome, when(m.Last.Ended, s.At), m.Last.Reason)
		}
		line("window", "%s", windowSentence(m.Window, s.At))
		for _, src := range m.Sources {
			state := "up since " + when(src.Since, s.At)
			if !src.Up {
				state = "down: " + src.Error
			}
			line(src.Name, "%s", state)
		}
	}
	fmt.Fprintf(&b, "config  %s  loaded %s", s.Config.Path, s.Config.Loaded.In(s.At.Location()).Format("15:04:05"))
	switch {
	case s.Config.Problem != "":
		fmt.Fprintf(&b, ", REFUSED since: %s\n", s.Config.Problem)
	case len(s.Config.RestartNeeded) > 0:
		fmt.Fprintf(&b, ", restart needed for: %s\n", strings.Join(s.Config.RestartNeeded, ", "))
	default:
		b.WriteString(", valid\n")
	}
	if s.OutboxPending > 0 {
		fmt.Fprintf(&b, "nats    %d events wait for the broker\n", s.OutboxPending)
	}
	_, err := lipgloss.Fprint(w, b.String())
	return err
}

func accuracySentence(r drift.Report) string {
	if r.Scored == 0 {
		return string(r.State) + ": " + r.Detail
	}
	out := fmt.Sprintf("%.1f %% (95 %% interval %.1f to %.1f) of %d held-out items; always the commonest label: %.1f %%", 100*r.Accuracy, 100*r.Low, 100*r.High, r.Scored, 100*r.Majority)
	if r.Baseline != nil {
		out += fmt.Sprintf("; %.1f %% when it was promoted", 100*r.Baseline.Accuracy)
	}
	if r.State != drift.StateOK {
		out += "; " + r.Detail
	}
	return out
}

func windowSentence(w status.Window, now time.Time) string {
	switch {
	case w.Open && w.Changes.IsZero():
		return "always open"
	case w.Open:
		return "open until " + clock(w.Changes, now)
	case w.Changes.IsZero():
		return "closed, and never opens"
	}
	return fmt.Sprintf("closed, opens %s (in %s)", clock(w.Changes, now), w.Changes.Sub(now).Round(time.Second))
}

// clock writes an instant in the policy's zone, with the date when it is not today.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05 MST")
	}
	return t.Format("2006-01-02 15:04 MST")
}

// when writes how long ago something was.
func when(t, now time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	ago := now.Sub(t)
	switch {
	case ago < time.Minute:
		return fmt.Sprintf("%d s ago", max(0, int(ago.Seconds())))
	case ago < time.Hour:
		return fmt.Sprintf("%d min ago", int(ago.Minutes()))
	case ago < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(ago.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(ago.Hours()/24))
}

// shortRun is the end of a run's id, which commands accept.
func shortRun(id string) string { return id[max(0, len(id)-8):] }
