package main

import (
	"context"
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
		Short: "Pause automatic runs of one model, or of all models",
		Long: `Pause automatic runs of a model or, without one, of every model. The daemon continues to measure, and shows when a
retrain would be due; none starts until the pause ends by itself or by: retraind resume

Requested retrains (retraind trigger, SIGUSR1) still run, and an active run continues; to stop these too, use
retraind hold and retraind runs cancel. A pause survives a restart of the daemon.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && lasts == 0 {
				return fail(exitUsage, "--for: such a pause would end at once; without --for it lasts until it is resumed")
			}
			model, err := oneOrEvery(args)
			if err != nil {
				return err
			}
			if lasts > 0 {
				p.Until = time.Now().Add(lasts.D()).Round(time.Second)
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Pause(context.Background(), model, p); err != nil {
				return err
			}
			if snapshot, err := c.Snapshot(context.Background()); err == nil {
				p.Until = p.Until.In(snapshot.At.Location()) // as `retraind status` shows it
			}
			return a.paused("paused", model, p)
		},
	}
	cmd.Flags().TextVar(&lasts, "for", unit.Duration(0), "`duration` of the pause, such as 8h or 7d (default: until resumed)")
	cmd.Flags().Lookup("for").DefValue = "" // otherwise shown as 0s
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for other people")
	return cmd
}

func newHold(a *app) *cobra.Command {
	var p status.Pause
	cmd := &cobra.Command{
		Use:   "hold MODEL",
		Short: "Hold a model: no run starts, not even a requested one",
		Long: `Hold a model: no run starts, not even a requested one, until you run: retraind resume MODEL

A run holds its model if it rolled a deployment back and could not prove which release serves. Such a hold also ends
when the champion is proved to serve: retraind verify MODEL`,
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
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for other people")
	return cmd
}

// oneOrEvery returns the named model, or Every if no model is named. It refuses an empty name, such as that of a shell
// variable that is not set.
func oneOrEvery(args []string) (string, error) {
	switch {
	case len(args) == 0:
		return status.Every, nil
	case args[0] == "":
		return "", fail(exitUsage, "the name of the model is empty: write a name, or leave it out for all models")
	}
	return args[0], nil
}

// paused prints what is paused, and how the pause ends.
func (a *app) paused(what, model string, p status.Pause) error {
	if a.json {
		return a.printJSON(map[string]any{what: model, "every": model == status.Every, "until": p.Until, "reason": p.Reason})
	}
	until := ""
	if !p.Until.IsZero() {
		until = " until " + clock(p.Until, time.Now().In(p.Until.Location()))
	}
	if model == status.Every {
		say(a.stdout, "every model is %s%s; to end this: retraind resume", what, until)
		return nil
	}
	say(a.stdout, "%s is %s%s; to end this: retraind resume %[1]s", model, what, until)
	return nil
}

func newResume(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "resume [MODEL]",
		Short: "End a pause, or end a hold after you have checked which release serves",
		Long: `With a model, end its own pause and its hold. Without one, end the pause of all models; pauses of single models stay. A run
holds its model if it rolled a deployment back and could not prove which release serves; then no run starts, not even a requested
one, until the champion is proved to serve, or a person has checked the service and runs this command.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			model, err := oneOrEvery(args)
			if err != nil {
				return err
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Resume(context.Background(), model, ""); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(map[string]any{"resumed": model, "every": model == status.Every})
			case model == status.Every:
				say(a.stdout, "the pause of all models has ended; see: retraind status")
			default:
				say(a.stdout, "%s may retrain again; see: retraind status %[1]s", model)
			}
			return nil
		},
	}
}
