package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/policy"
)

func newExplain(a *app) *cobra.Command {
	var code bool
	cmd := &cobra.Command{
		Use:   "explain [MODEL | RUN]",
		Short: "Say why it retrains, or why not: every condition with value, bound and distance",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client(cmd)
			defer c.Close()
			ctx := context.Background()
			s, err := c.Snapshot(ctx)
			if err != nil {
				return err
			}
			names := []string{}
			for _, m := range s.Models {
				names = append(names, m.Name)
			}
			run := ""
			if len(args) == 1 {
				if len(only(s.Models, args[0])) == 1 {
					names = args
				} else {
					names, run = []string{""}, args[0]
				}
			}
			var decisions []policy.Decision
			for _, name := range names {
				if run != "" {
					r, err := c.Run(ctx, run)
					if err != nil {
						return err
					}
					name = r.Model
				}
				d, err := c.Explain(ctx, name, run)
				if err != nil {
					return err
				}
				decisions = append(decisions, d)
			}
			return a.showDecisions(decisions, s.At.Location(), code)
		},
	}
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit 3 when the answer is that it would not start a run now")
	return cmd
}

func (a *app) showDecisions(decisions []policy.Decision, loc *time.Location, code bool) error {
	starts := true
	for _, d := range decisions {
		starts = starts && d.Start()
	}
	if a.json {
		var doc any = decisions
		if len(decisions) == 1 {
			doc = decisions[0]
		}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else {
		for _, d := range decisions {
			if err := d.Render(a.stdout, policy.RenderOptions{Location: loc}); err != nil {
				return err
			}
		}
	}
	if code && !starts {
		return silent(exitNo)
	}
	return nil
}
