package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/status"
)

func newStatus(a *app) *cobra.Command {
	var healthy bool
	cmd := &cobra.Command{
		Use: "status [MODEL]", Short: "Show the state of each model", Args: cobra.MaximumNArgs(1),
		Long: `Show the state of each model: its phase with the reason, the accuracy of the deployed release, the label
changes since its training, the last run, and the sources of labels.

Phases:  WATCHING  nothing to do                       ARMED    a retrain is due and waits
         RUNNING   a run is in progress                ASLEEP   the service is off (serving.asleep: ok)
         PAUSED    a person paused automatic runs      HELD     no run starts, not even a requested one
         FOREIGN   another model is served             BROKEN   a label source or the service fails

A hold ends with retraind resume MODEL. If a run has set it, it also ends when the champion is proved to serve.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Snapshot(context.Background())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				all := names(s.Models)
				if s.Models = only(s.Models, args[0]); len(s.Models) == 0 {
					return noModel(args[0], all)
				}
			}
			if a.json {
				err = a.printJSON(s)
			} else {
				err = showStatus(newPage(a.stdout), s)
			}
			if err == nil && healthy && !isHealthy(s) {
				return silent(exitNo)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&healthy, "check", false, "exit 3 if a model is broken, foreign or held, the nightly audit found its stored figures wrong, or the last reload was refused")
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

func names(models []status.Model) []string {
	var out []string
	for _, m := range models {
		out = append(out, m.Name)
	}
	return out
}

func isHealthy(s status.Status) bool {
	for _, m := range s.Models {
		if m.Phase == status.Broken || m.Phase == status.Foreign || m.Phase == status.Held || m.Audit.Difference != "" {
			return false
		}
	}
	return s.Config.Problem == ""
}
