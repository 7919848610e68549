package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/status"
)

func newPause(a *app) *cobra.Command {
	var p status.Pause
	var lasts unit.Duration
	cmd := &cobra.Command{
		Use:   "pause [MODEL]",
		Short: "Stop what would start by itself, for a model or for all",
		Long: `Stop what would start by itself, for a model or, without one, for every model. The daemon goes on measuring, and says
when a retrain would be due; none begins until the time is over or until: retraind resume

A retrain that is asked for (retraind trigger, SIGUSR1) still runs, and a run that is under way goes on; to forbid
these too: retraind hold, retraind runs cancel. A pause survives a restart of the daemon.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lasts > 0 {
				p.Until = time.Now().Add(lasts.D()).Round(time.Second)
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			model := cmp.Or(strings.Join(args, ""), status.Every)
			if err := c.Pause(context.Background(), model, p); err != nil {
				return err
			}
			if snapshot, err := c.Snapshot(context.Background()); err == nil {
				p.Until = p.Until.In(snapshot.At.Location()) // as `retraind status` shows it
			}
			return a.paused("paused", model, p)
		},
	}
	cmd.Flags().TextVar(&lasts, "for", unit.Duration(0), "`span` that it lasts, as in 8h or 7d (default: until it is resumed)")
	cmd.Flags().Lookup("for").DefValue = "" // otherwise shown as 0s
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for whoever wonders")
	return cmd
}

func newHold(a *app) *cobra.Command {
	var p status.Pause
	cmd := &cobra.Command{
		Use:   "hold MODEL",
		Short: "Let no run of a model start, not even one that is asked for",
		Long: `Let no run of a model start, not even one that is asked for, until: retraind resume MODEL

A run holds its model itself when a deploy was taken back and nothing proves what serves now.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Hold(context.Background(), args[0], p); err != nil {
				return err
			}
			return a.paused("held", args[0], p)
		},
	}
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for whoever wonders")
	return cmd
}

// paused prints what is paused, and how it ends.
func (a *app) paused(what, model string, p status.Pause) error {
	if a.json {
		return a.printJSON(map[string]any{what: model, "every": model == status.Every, "until": p.Until, "reason": p.Reason})
	}
	until := ""
	if !p.Until.IsZero() {
		until = " until " + clock(p.Until, time.Now().In(p.Until.Location()))
	}
	if model == status.Every {
		say(a.stdout, "every model is %s%s; before that: retraind resume", what, until)
		return nil
	}
	say(a.stdout, "%s is %s%s; it goes on with: retraind resume %[1]s", model, what, until)
	return nil
}

func newResume(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "resume [MODEL]",
		Short: "End a pause, or take the hold off a model once you have looked at what serves",
		Long: `End a pause: that of a model, or, without one, that of every model. With a model, its hold is taken off too. A run holds
its model when a deploy was taken back and nothing proves what serves now; no run starts, forced ones included, until
this command says that a person has looked.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			model := cmp.Or(strings.Join(args, ""), status.Every)
			if err := c.Resume(context.Background(), model, ""); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(map[string]any{"resumed": model, "every": model == status.Every})
			case model == status.Every:
				say(a.stdout, "the pause of every model is over; see: retraind status")
			default:
				say(a.stdout, "%s may retrain again; see: retraind status %[1]s", model)
			}
			return nil
		},
	}
}
