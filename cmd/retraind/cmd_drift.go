package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/status"
)

// driftOptions are the flags of drift.
type driftOptions struct {
	since string
	now   bool
	csv   bool
	plot  bool
	svg   string
}

// driftAnswer is what the command drift shows about one model. It is also the output of drift with --json.
type driftAnswer struct {
	drift.Diagnosis
	Series []status.Point `json:"series"`
}

func newDrift(a *app) *cobra.Command {
	var o driftOptions
	cmd := &cobra.Command{
		Use:   "drift [MODEL]",
		Short: "Show how accurate a model is, since when, and why",
		Long: `Show a model's accuracy on held-out items with its interval, each category, and the causes of a
drop, and answer three questions: did the distribution change, are labels suspicious, are examples
too few.

--since takes a date (2026-11-01), a time (2026-11-01T08:00:00Z) or a span (30d, 12h). --csv
writes the series, one line for each evaluation. --svg writes the chart as a picture.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.drift(cmd, args, o) },
	}
	cmd.Flags().StringVar(&o.since, "since", "30d", "start of the series")
	cmd.Flags().BoolVar(&o.now, "now", false, "evaluate first")
	cmd.Flags().BoolVar(&o.csv, "csv", false, "write the series as comma-separated values")
	cmd.Flags().BoolVar(&o.plot, "plot", false, "draw the series")
	cmd.Flags().StringVar(&o.svg, "svg", "", "write the chart into a file")
	cmd.MarkFlagsMutuallyExclusive("csv", "plot")
	return cmd
}

func (a *app) drift(cmd *cobra.Command, args []string, o driftOptions) error {
	if a.json && o.csv {
		return fail(exitUsage, "--json and --csv cannot be combined: use one of them")
	}
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
	since, err := parseSince(o.since, s.At)
	if err != nil {
		return err
	}
	model, err := oneModel(s, args)
	if err != nil {
		return err
	}
	if o.now {
		if _, err := c.Evaluate(ctx, model.Name); err != nil {
			return err
		}
		if s, err = c.Snapshot(ctx); err != nil {
			return err
		}
		model = only(s.Models, model.Name)[0]
	}
	answer := driftAnswer{Series: []status.Point{}}
	points, err := c.History(ctx, model.Name, since)
	if err != nil {
		return err
	}
	answer.Series = append(answer.Series, points...)
	if o.svg != "" {
		if err := a.writeSVG(ctx, c, o.svg, s, model, points); err != nil {
			return err
		}
	}
	if o.csv {
		return a.writeSeries(answer.Series)
	}
	if answer.Diagnosis, err = c.Diagnose(ctx, model.Name); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(answer)
	}
	p := newPage(a.stdout)
	p.showDrift(answer, since, s.At, o.plot)
	if o.svg != "" {
		p.line("", 0)
		p.field("chart", o.svg)
	}
	return p.print()
}

// oneModel returns the named model, or the only one.
func oneModel(s status.Status, args []string) (status.Model, error) {
	switch {
	case len(args) == 1:
		if found := only(s.Models, args[0]); len(found) == 1 {
			return found[0], nil
		}
		return status.Model{}, noModel(args[0], names(s.Models))
	case len(s.Models) == 1:
		return s.Models[0], nil
	}
	return status.Model{}, fail(exitUsage, "which model? one of %s", strings.Join(names(s.Models), ", "))
}

func (a *app) writeSVG(ctx context.Context, c *status.Client, path string, s status.Status, m status.Model,
	points []status.Point,
) error {
	runs, err := c.Runs(ctx, m.Name, 100)
	if err != nil {
		return err
	}
	var chart bytes.Buffer
	drawn, err := status.WriteChart(&chart, s.At, m, points, runs)
	if err != nil {
		return fmt.Errorf("write the chart: %w", err)
	}
	if !drawn {
		return fail(exitNo, "no evaluation since the start of the series, so there is no chart to write: choose an earlier --since")
	}
	if err := replaceFile(path, chart.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the chart: %w", err)
	}
	return nil
}

// writeSeries writes one line for each evaluation, with exact fractions.
func (a *app) writeSeries(points []status.Point) error {
	w := csv.NewWriter(a.stdout)
	rows := [][]string{{"at", "release", "items", "accuracy", "low", "high"}}
	for _, p := range points {
		rows = append(rows, []string{
			p.At.UTC().Format(time.RFC3339Nano), p.Release, strconv.Itoa(p.N), fraction6(p.Accuracy),
			fraction6(p.Low), fraction6(p.High),
		})
	}
	if err := w.WriteAll(rows); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("write the series: %w", err)
	}
	return nil
}

func fraction6(f float64) string { return strconv.FormatFloat(f, 'f', 6, 64) }
