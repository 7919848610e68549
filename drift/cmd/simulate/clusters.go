package main

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/simulate"
)

// rare is the promised rate in the table of clusters. It is lower than the default: its test waits longer for an
// alarm, so that clusters have more opportunities to cause a false one.
var rare = unit.Rate{Count: 1, Per: unit.Duration(720 * 24 * time.Hour)}

// clusterRises are the rises to detect in each world of clusters.
var clusterRises = [...]float64{.05, .10, .25}

// clusterWorlds returns worlds without change in which wrong answers occur in clusters and, for comparison, worlds with
// independent errors.
func clusterWorlds() []simulate.World {
	world := func(items, length int, correlation float64) simulate.World {
		return simulate.World{
			Accuracy: accuracy, Items: items, PerDay: findPerDay, Cluster: length, Correlation: correlation,
		}
	}
	return []simulate.World{
		world(1000, 1, 0),
		world(1000, 25, .09),
		world(5000, 1, 0),
		world(5000, 25, .05),
		world(5000, 25, .09),
		world(5000, 25, .2),
		world(5000, 8, .2),
		world(5000, 100, .05),
	}
}

// inClusters is the result of the policy in a world of clusters.
type inClusters struct {
	falses simulate.Falses
	found  [len(clusterRises)]simulate.Found
}

func measureClusters(worlds []simulate.World, s size) (out []inClusters, most float64, err error) {
	p, d, err := usual(3, rare)
	if err != nil {
		return nil, 0, err
	}
	out = make([]inClusters, len(worlds))
	var rows errgroup.Group
	rows.SetLimit(s.jobs)
	for i, w := range worlds {
		rows.Go(func() error {
			out[i].falses = simulate.CountFalses(w, p, max(s.years/streamYears, 1), streamYears, 5, s.seed)
			for k, rise := range clusterRises {
				w.Jump, w.JumpAt = rise, findQuiet
				ours := []func() simulate.Rule{func() simulate.Rule { return simulate.Policy }}
				out[i].found[k] = simulate.Find(w, p, ours, s.streams, findHorizon, s.seed)[0]
			}
			return nil
		})
	}
	return out, promised(d), rows.Wait()
}

func printClusters(to io.Writer, s size) error {
	worlds := clusterWorlds()
	s.years, s.streams = s.years/4, s.streams/2 // false retrains are much more frequent than with independent errors
	found, most, err := measureClusters(worlds, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(to, "| held-out items | cluster | correlation | false retrains a year | promised |")
	for _, rise := range clusterRises {
		fmt.Fprintf(to, " finds %.0f points | median labels |", 100*rise)
	}
	fmt.Fprintf(to, "\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, w := range worlds {
		fmt.Fprintf(to, "| %d | %d | %g | %.3f | %.2f |", w.Items, w.Cluster, w.Correlation, found[i].falses.PerYear(), most)
		for _, f := range found[i].found {
			fmt.Fprintf(to, " %s | %s |", text.Percent(f.Share()), delay(f))
		}
		fmt.Fprintln(to)
	}
	fmt.Fprintln(to)
	return nil
}
