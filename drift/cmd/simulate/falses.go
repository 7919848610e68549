package main

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/simulate"
)

// accuracy is the mean accuracy of every simulated model at its promotion.
const accuracy = 0.88

// streamYears is the length of each stream in the table of false retrains. That is longer than a release should serve,
// because a test that is evaluated for ten years has more opportunities for a false alarm.
const streamYears = 10

// quiet is a world without change, in which a decision is made after each group of `look` labels.
type quiet struct {
	simulate.World
	look int
}

func quietWorlds() []quiet {
	world := func(perDay float64, items int, churn float64) simulate.World {
		return simulate.World{Accuracy: accuracy, Items: items, PerDay: perDay, Churn: churn}
	}
	return []quiet{
		{world(2, 200, 0), 1},
		{world(2, 1000, 0), 1},
		{world(10, 200, 0), 1},
		{world(10, 1000, 0), 1},
		{world(10, 5000, 0), 1},
		{world(50, 1000, 0), 25},
		{world(50, 5000, 0), 25},
		{world(10, 1000, 0.2), 1},
	}
}

// halfYearly is the default of false_retrains in accuracy_drop.
var halfYearly = unit.Rate{Count: 1, Per: unit.Duration(180 * 24 * time.Hour)}

// usual returns a policy whose only condition is accuracy_drop. The defaults are three points and one false retrain in
// 180 days.
func usual(points float64, promise unit.Rate) (*policy.Policy, policy.AccuracyDrop, error) {
	c := policy.Defaults()
	d := &policy.AccuracyDrop{}
	d.SetDefaults()
	d.Points, d.FalseRetrains = unit.Points(points), promise
	c.RetrainWhen.AccuracyDrop = d
	p, err := policy.Compile(c, time.UTC, policy.Options{})
	return p, *d, err
}

// promised returns how many false retrains a year the policy allows.
func promised(d policy.AccuracyDrop) float64 {
	return float64(d.FalseRetrains.Count) * 365 * 24 * float64(time.Hour) / float64(d.FalseRetrains.Per)
}

func measureFalses(worlds []quiet, s size) ([]simulate.Falses, float64, error) {
	p, d, err := usual(3, halfYearly)
	if err != nil {
		return nil, 0, err
	}
	out := make([]simulate.Falses, len(worlds))
	var rows errgroup.Group
	rows.SetLimit(s.jobs)
	for i, w := range worlds {
		rows.Go(func() error {
			out[i] = simulate.CountFalses(w.World, p, max(s.years/streamYears, 1), streamYears, w.look, s.seed)
			return nil
		})
	}
	return out, promised(d), rows.Wait()
}

func printFalses(to io.Writer, s size) error {
	worlds := quietWorlds()
	found, most, err := measureFalses(worlds, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(to, "| labels a day | held-out items at the promotion | corrections a label | evaluated | years | labels | false retrains | a year | promised |\n|---:|---:|---:|---|---:|---:|---:|---:|---:|\n")
	for i, w := range worlds {
		f := found[i]
		look := "after each label"
		if w.look > 1 {
			look = fmt.Sprintf("after %d labels", w.look)
		}
		fmt.Fprintf(to, "| %g | %d | %g | %s | %.0f | %d | %d | %.4f | %.2f |\n", w.PerDay, w.Items, w.Churn, look, f.Years,
			f.Labels, f.Retrains, f.PerYear(), most)
	}
	fmt.Fprintln(to)
	return nil
}
