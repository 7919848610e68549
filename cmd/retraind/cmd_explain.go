package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
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
			decisions, err := decisions(ctx, c, s, args)
			if err != nil {
				return err
			}
			return a.showDecisions(decisions, s, code)
		},
	}
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit 3 when the answer is that it would not start a run now")
	return cmd
}

// decisions are the last one of each model, of one model, or the one that began a run.
func decisions(ctx context.Context, c *status.Client, s status.Status, args []string) ([]policy.Decision, error) {
	wanted := names(s.Models)
	if len(args) == 1 {
		wanted = args
	}
	var out []policy.Decision
	for _, name := range wanted {
		run := ""
		if len(only(s.Models, name)) == 0 {
			r, err := c.Run(ctx, name)
			if errors.Is(err, status.ErrNotFound) {
				return nil, fail(exitNotFound, "there is neither a model nor a run %q%s", name, didYouMean(name, names(s.Models), ""))
			}
			if err != nil {
				return nil, err
			}
			name, run = r.Model, r.ID
		}
		d, err := c.Explain(ctx, name, run)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (a *app) showDecisions(decisions []policy.Decision, s status.Status, code bool) error {
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
		file := inForce(s.Config)
		for i, d := range decisions {
			if i > 0 {
				fmt.Fprintln(a.stdout)
			}
			if err := d.Render(a.stdout, policy.RenderOptions{Location: s.At.Location(), Line: lines(file, d)}); err != nil {
				return err
			}
		}
	}
	if code && !starts {
		return silent(exitNo)
	}
	return nil
}

// inForce is the file that the daemon goes by, nil where it cannot be read here or is another one by now.
func inForce(c status.Config) *configs.Loaded {
	l, err := configs.Load(c.Path)
	if err != nil || l.Digest != c.Digest {
		return nil
	}
	return l
}

// lines finds the line of each rule that a decision names.
func lines(file *configs.Loaded, d policy.Decision) func(string) (int, bool) {
	if file == nil {
		return nil
	}
	return func(path string) (int, bool) { return file.Line("models." + d.Model + "." + path) }
}
