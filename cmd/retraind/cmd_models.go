package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

func newModels(a *app) *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := c.Snapshot(context.Background())
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(s.Models)
		}
		return showModels(newPage(a.stdout), s)
	}
	cmd := &cobra.Command{Use: "models", Short: "List models and their releases", Args: cobra.NoArgs, RunE: list}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the configured models", Args: cobra.NoArgs, RunE: list},
		newModelsShow(a), newModelsAdopt(a), newModelsRedeploy(a), newModelsPin(a), newModelsUnpin(a),
	)
	return cmd
}

func showModels(p *page, s status.Status) error {
	var rows [][]string
	for _, m := range s.Models {
		accuracy, n := "", ""
		if m.Report != nil && m.Report.Scored > 0 {
			accuracy, n = fmt.Sprintf("%.1f%%", 100*m.Report.Accuracy), text.Count(m.Report.Scored)
		}
		release, deployed := "none", ""
		if m.Release != "" {
			release, deployed = text.Digest(m.Release), ago(m.Deployed, s.At)
		}
		rows = append(rows, []string{m.Name, coloured(phaseColour[m.Phase], string(m.Phase)), release, deployed, accuracy, n})
	}
	p.table(0, []string{"model", "phase", "release", "deployed", "accuracy", "held-out"}, rows...)
	return p.print()
}

func newModelsShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show MODEL", Short: "Show a model's releases", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
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
			return showReleases(newPage(a.stdout), args[0], releases, time.Now())
		},
	}
}

func showReleases(p *page, model string, releases []status.Release, now time.Time) error {
	if len(releases) == 0 {
		p.line("no release yet; train the first with: retraind trigger "+model, 0)
		return p.print()
	}
	var rows [][]string
	for _, r := range releases {
		accuracy := ""
		if c := r.Accuracy; c != nil {
			accuracy = fmt.Sprintf("%.1f%% of %s (%.1f to %.1f)", 100*c.After, text.Count(c.N), 100*c.Low, 100*c.High)
		}
		state := plainWord(r.State)
		if r.State == store.ReleaseChampion {
			state = coloured("2", state)
		}
		if p := r.Pinned; p != nil {
			state += ", pinned by " + p.By
			if p.Reason != "" {
				state += ": " + p.Reason
			}
		}
		rows = append(rows, []string{text.Digest(r.Digest), state, ago(r.Created, now), text.RunID(r.Run), accuracy})
	}
	p.table(0, []string{"release", "state", "made", "run", "accuracy at its gate"}, rows...)
	return p.print()
}
