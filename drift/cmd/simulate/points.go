package main

import (
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy/simulate"
)

// wanted is the value of points in the table of points.
const wanted = 20

// trueRises are the true increases of the error rate in that table.
var trueRises = [...]float64{.05, .10, .15, .25, .50}

// measurePoints returns how often accuracy_drop with points: 20 trips within a year, if the error rate is increased
// from the promotion on.
func measurePoints(items []int, s size) (out [][len(trueRises)]simulate.Found, err error) {
	p, _, err := usual(wanted, halfYearly)
	if err != nil {
		return nil, err
	}
	out = make([][len(trueRises)]simulate.Found, len(items))
	var rows errgroup.Group
	rows.SetLimit(s.jobs)
	for i, n := range items {
		for k, rise := range trueRises {
			rows.Go(func() error {
				w := simulate.World{Accuracy: accuracy, Items: n, PerDay: findPerDay, Jump: rise}
				ours := []func() simulate.Rule{func() simulate.Rule { return simulate.Policy }}
				out[i][k] = simulate.Find(w, p, ours, 2*s.streams, findHorizon, s.seed)[0]
				return nil
			})
		}
	}
	return out, rows.Wait()
}

func printPoints(to io.Writer, s size) error {
	items := []int{200, 1000, 5000}
	found, err := measurePoints(items, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(to, "| held-out items | the error rises by | years in which `points: %d` trips | median labels |\n|---:|---:|---:|---:|\n",
		wanted)
	for i, n := range items {
		for k, rise := range trueRises {
			fmt.Fprintf(to, "| %d | %.0f points | %s | %s |\n", n, 100*rise, text.Percent(found[i][k].Share()),
				delay(found[i][k]))
		}
	}
	fmt.Fprintln(to)
	return nil
}
