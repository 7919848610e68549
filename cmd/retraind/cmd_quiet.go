package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/policy/quiethours"
)

func newWindows(a *app) *cobra.Command {
	var n int
	var from string
	cmd := &cobra.Command{
		Use:   "windows [MODEL]",
		Short: "Show when quiet hours open next, and whether a run fits into them",
		Long: `Show the next quiet hours in the configured time zone and in UTC, with their real length in nights when the clocks
change, the days that an exception closes, and whether the next run fits. The expected duration of a run is the
sum of the 90th percentiles of its steps, plus the reserve (limits.reserve). Needs no daemon.

Exit code 3: the next run of a model fits into none of the quiet hours that are shown.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 || n > 1000 {
				return fail(exitUsage, "--count %d: write a number from 1 to 1000", n)
			}
			l, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			at := time.Now().In(l.File.Location()).Truncate(time.Second)
			if from != "" {
				if at, err = parseTime(from, at); err != nil {
					return fail(exitUsage, "--from %w", err)
				}
			}
			wanted := l.File.Names()
			if len(args) == 1 {
				if _, ok := l.File.Models[args[0]]; !ok {
					return noModel(args[0], wanted)
				}
				wanted = args
			}
			var plans []offline.Plan
			for _, name := range wanted {
				p, err := offline.Windows(context.Background(), l.File, name, at, n)
				if err != nil {
					return err
				}
				plans = append(plans, p)
			}
			return a.showPlans(plans, at)
		},
	}
	cmd.Flags().IntVarP(&n, "count", "n", 5, "number of windows to show")
	cmd.Flags().StringVar(&from, "from", "", "start at this time instead of now: 2027-03-27, or 2027-03-27 20:00")
	return cmd
}

func (a *app) showPlans(plans []offline.Plan, at time.Time) error {
	fits := true
	for _, p := range plans {
		ok := p.Always
		for _, o := range p.Openings {
			ok = ok || o.Fits
		}
		fits = fits && ok
	}
	if a.json {
		var docs []planJSON
		for _, p := range plans {
			docs = append(docs, newPlanJSON(p, at))
		}
		if err := a.printJSON(docs); err != nil {
			return err
		}
	} else {
		page := newPage(a.stdout)
		for i, p := range plans {
			if i > 0 {
				page.line("", 0)
			}
			page.plan(p, at)
		}
		if err := page.print(); err != nil {
			return err
		}
	}
	if !fits {
		return silent(exitNo)
	}
	return nil
}

// planJSON is the output of --json. The times of openings are given both with the zone's offset and in UTC, durations
// in seconds.
type planJSON struct {
	Model    string               `json:"model"`
	At       time.Time            `json:"at"`
	Timezone string               `json:"timezone"`
	Rules    string               `json:"rules"`
	Always   bool                 `json:"always"`
	Needs    needsJSON            `json:"needs"`
	Openings []openingJSON        `json:"openings"`
	Closed   []quiethours.Closing `json:"closed"`
}

type needsJSON struct {
	Seconds  float64    `json:"seconds"`
	Reserve  float64    `json:"reserve_seconds"`
	Pipeline string     `json:"pipeline"`
	Steps    []stepJSON `json:"steps"`
}

type stepJSON struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Runs    int     `json:"runs"`  // how many earlier runs it is based on; 0: configured or unknown
	Known   bool    `json:"known"` // if false it counts as 0
	// Checkpoints means that the step counts as 0, because it resumes in the next quiet hours.
	Checkpoints bool `json:"checkpoints,omitempty"`
}

type openingJSON struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	StartUTC time.Time `json:"start_utc"`
	EndUTC   time.Time `json:"end_utc"`
	Seconds  float64   `json:"seconds"`
	Wall     float64   `json:"wall_seconds"`
	Open     bool      `json:"open"`
	Fits     bool      `json:"fits"`
	Notes    []string  `json:"notes,omitempty"`
}

func newPlanJSON(p offline.Plan, at time.Time) planJSON {
	out := planJSON{
		Model: p.Model, At: at, Timezone: p.Location.String(), Rules: p.Rules, Always: p.Always, Openings: []openingJSON{},
		Closed: p.Closings,
		Needs: needsJSON{
			Seconds: (p.Expected.Total + p.Reserve).Seconds(), Reserve: p.Reserve.Seconds(),
			Pipeline: p.Expected.Pipeline,
		},
	}
	if out.Closed == nil {
		out.Closed = []quiethours.Closing{}
	}
	for _, s := range p.Expected.Steps {
		out.Needs.Steps = append(out.Needs.Steps, stepJSON{s.Name, s.Time.Seconds(), s.Runs, s.Known, s.Checkpoints})
	}
	for _, o := range p.Openings {
		out.Openings = append(out.Openings, openingJSON{
			Start: o.Start.In(p.Location), End: o.End.In(p.Location), StartUTC: o.Start.UTC(), EndUTC: o.End.UTC(),
			Seconds: o.Length().Seconds(), Wall: o.Wall.Seconds(), Open: o.Open, Fits: o.Fits, Notes: o.Notes,
		})
	}
	return out
}
