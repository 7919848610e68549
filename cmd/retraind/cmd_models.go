package main

import (
	"context"
	"fmt"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/status"
)

func newModels(a *app) *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		c := a.client(cmd)
		defer c.Close()
		s, err := c.Snapshot(context.Background())
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(s.Models)
		}
		t := newTable("model", "phase", "release", "deployed", "accuracy", "held-out")
		for _, m := range s.Models {
			accuracy, n := "", ""
			if m.Report != nil && m.Report.Scored > 0 {
				accuracy, n = fmt.Sprintf("%.1f %%", 100*m.Report.Accuracy), fmt.Sprint(m.Report.Scored)
			}
			release, deployed := "none", ""
			if m.Release != "" {
				release, deployed = actions.Short(m.Release), when(m.Deployed, s.At)
			}
			t.Row(m.Name, string(m.Phase), release, deployed, accuracy, n)
		}
		_, err = lipgloss.Fprintln(a.stdout, t)
		return err
	}
	cmd := &cobra.Command{Use: "models", Short: "List models and their releases", Args: cobra.NoArgs, RunE: list}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the models under watch", Args: cobra.NoArgs, RunE: list},
		newModelsShow(a),
	)
	return cmd
}

func newModelsShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show MODEL", Short: "Show a model's releases", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client(cmd)
			defer c.Close()
			releases, err := c.Releases(context.Background(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				if releases == nil {
					releases = []status.Release{}
				}
				return a.printJSON(releases)
			}
			if len(releases) == 0 {
				fmt.Fprintln(a.stdout, "no release yet; retraind trigger", args[0], "trains the first")
				return nil
			}
			t := newTable("release", "state", "made", "run", "accuracy at its gate")
			for _, r := range releases {
				accuracy := ""
				if r.Accuracy != nil {
					accuracy = fmt.Sprintf("%.1f %% of %d", 100*r.Accuracy.After, r.Accuracy.N)
				}
				t.Row(actions.Short(r.Digest), r.State, when(r.Created, time.Now()), shortRun(r.Run), accuracy)
			}
			_, err = lipgloss.Fprintln(a.stdout, t)
			return err
		},
	}
}
