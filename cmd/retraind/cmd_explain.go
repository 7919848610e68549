package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

func newExplain(a *app) *cobra.Command {
	var code bool
	var at, run string
	cmd := &cobra.Command{
		Use:   "explain [MODEL | RUN]",
		Short: "Show why a model is retrained, or why not: every condition with value, bound and distance",
		Long: `Show why a model is retrained, or why not: every condition with value, bound and distance, and every limit that a
run must pass. The default is the present decision; --at shows the last decision before a time, --run the decision
that led to a run. Of the decisions older than a week, only one per hour is kept.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			ctx := context.Background()
			s, err := c.Snapshot(ctx)
			if err != nil {
				return err
			}
			when := time.Time{}
			switch {
			case at != "" && run != "":
				return fail(exitUsage, "--at and --run cannot be combined: use one of them")
			case run != "" && len(args) > 0:
				return fail(exitUsage, "--run %s: the run determines the model; leave %s out", run, args[0])
			case run != "":
				args = []string{run}
			case at != "":
				if when, err = parseTime(at, s.At); err != nil {
					return fail(exitUsage, "--at %w", err)
				}
			}
			decisions, led, err := decisions(ctx, c, s, args, when)
			if err != nil {
				return err
			}
			return a.showDecisions(decisions, led, s, code)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "show the last decision before this time: 14:00, or \"2026-11-20 14:00\"")
	cmd.Flags().StringVar(&run, "run", "", "show the decision that led to this run")
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit 3 unless a run of each shown model would start now")
	return cmd
}

// decisions returns the last decision of each model or of one model, or the decision that started a run, with that
// run. If a time is given, later decisions are left out.
func decisions(ctx context.Context, c *status.Client, s status.Status, args []string,
	at time.Time,
) (out []policy.Decision, led *status.Run, err error) {
	wanted := names(s.Models)
	if len(args) == 1 {
		wanted = args
	}
	for _, name := range wanted {
		run := ""
		if len(only(s.Models, name)) == 0 {
			r, err := c.Run(ctx, name)
			if errors.Is(err, status.ErrNotFound) {
				return nil, nil, fail(exitNotFound, "there is no model %q%s, and %w", name, didYouMean(name, names(s.Models), ""), err)
			}
			if err != nil {
				return nil, nil, err
			}
			name, run, led = r.Model, r.ID, &r
		}
		d, err := c.Explain(ctx, name, run, at)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, d)
	}
	return out, led, nil
}

// explained is a decision in the output of --json. It contains the run that the decision started if the user named a
// run.
type explained struct {
	policy.Decision
	Run *status.Run `json:"run,omitempty"`
}

func (a *app) showDecisions(decisions []policy.Decision, led *status.Run, s status.Status, code bool) error {
	starts := true
	for _, d := range decisions {
		starts = starts && (d.Start() || d.RollsBack())
	}
	if a.json {
		var doc any = decisions
		if len(decisions) == 1 {
			doc = explained{decisions[0], led}
		}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else {
		file := inForce(s.Config)
		for i, d := range decisions {
			if i > 0 {
				say(a.stdout, "")
			}
			var said strings.Builder
			if err := d.Render(&said, policy.RenderOptions{Location: s.At.Location(), Line: lines(file, d)}); err != nil {
				return err
			}
			p := newPage(a.stdout)
			for line := range strings.Lines(said.String()) {
				line = strings.TrimRight(line, "\n")
				p.line(line, hang(line))
			}
			if err := p.print(); err != nil {
				return err
			}
		}
		if led != nil && led.State == store.RunEnded {
			say(a.stdout, "")
			say(a.stdout, "Result: %s", ending(*led))
		}
	}
	if code && !starts {
		return silent(exitNo)
	}
	return nil
}

// inForce returns the daemon's configuration. It returns nil if the file cannot be read here, or has changed since
// the daemon read it.
func inForce(c status.Config) *configs.Loaded {
	l, err := configs.Load(c.Path)
	if err != nil || l.Digest != c.Digest {
		return nil
	}
	return l
}

// lines returns a function that finds the line of each rule that a decision names.
func lines(file *configs.Loaded, d policy.Decision) func(string) (int, bool) {
	if file == nil {
		return nil
	}
	if p, err := file.File.Policy(d.Model); d.PolicyDigest != "" && (err != nil || p.Digest() != d.PolicyDigest) {
		return nil // it was decided by other rules
	}
	return func(path string) (int, bool) { return file.Line("models." + d.Model + "." + path) }
}
