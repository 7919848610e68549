package main

import (
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy/simulate"
)

const (
	findPerDay  = 10
	findQuiet   = 60 * findPerDay  // labels before the jump
	findHorizon = 365 * findPerDay // labels after it
)

// jumps are the worlds of the table of findings. A jump of nothing shows what a rule finds where there is nothing.
func jumps() []simulate.World {
	var out []simulate.World
	for _, items := range []int{200, 1000, 5000} {
		for _, jump := range []float64{0, .05, .10} {
			out = append(out, simulate.World{Accuracy: accuracy, Items: items, PerDay: findPerDay, Jump: jump, JumpAt: findQuiet})
		}
	}
	return out
}

func measureFound(worlds []simulate.World, s size) ([][]simulate.Found, error) {
	p, _, err := usual(drift.TestECUSUM)
	if err != nil {
		return nil, err
	}
	var makers []func() simulate.Rule
	for _, r := range rules() {
		makers = append(makers, r.make)
	}
	out := make([][]simulate.Found, len(worlds))
	var rows errgroup.Group
	rows.SetLimit(s.jobs)
	for i, w := range worlds {
		rows.Go(func() error {
			out[i] = simulate.Find(w, p, makers, s.streams, findHorizon, s.seed)
			return nil
		})
	}
	return out, rows.Wait()
}

func printFound(to io.Writer, s size) error {
	worlds := jumps()
	found, err := measureFound(worlds, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(to, "| held-out items | error rises by | rule | tripped in the 60 days before | found within a year | median delay, labels |\n|---:|---:|---|---:|---:|---:|\n")
	for i, w := range worlds {
		for k, r := range rules() {
			f := found[i][k]
			fmt.Fprintf(to, "| %d | %.0f points | %s | %s | %s | %s |\n", w.Items, 100*w.Jump, r.name,
				percent(float64(f.Early)/float64(f.Streams)), percent(f.Share()), delay(f))
		}
	}
	fmt.Fprintln(to)
	return nil
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func delay(f simulate.Found) string {
	if len(f.Delays) == 0 {
		return "-"
	}
	return fmt.Sprint(f.Median())
}
