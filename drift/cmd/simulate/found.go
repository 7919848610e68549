package main

import (
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy/simulate"
)

const (
	findPerDay  = 10
	findQuiet   = 60 * findPerDay  // labels before the jump
	findHorizon = 365 * findPerDay // labels after it
)

// rises are the increases of the error rate; zero shows how often a rule trips without a change.
var rises = [...]float64{0, .05, .10}

// jumps returns the worlds of the table of detections: for each number of items, one world for each of rises.
func jumps() []simulate.World {
	var out []simulate.World
	for _, items := range []int{200, 1000, 5000} {
		for _, jump := range rises {
			out = append(out, simulate.World{
				Accuracy: accuracy, Items: items, PerDay: findPerDay, Jump: jump, JumpAt: findQuiet,
			})
		}
	}
	return out
}

func measureFound(worlds []simulate.World, s size) ([][]simulate.Found, error) {
	p, _, err := usual(3, halfYearly)
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
	fmt.Fprintf(to, "| held-out items | rule | trips in the 60 quiet days | in the quiet year after | finds 5 points | median labels | finds 10 points | median labels |\n|---:|---|---:|---:|---:|---:|---:|---:|\n")
	for i := 0; i < len(worlds); i += len(rises) {
		for k, r := range rules() {
			still, five, ten := found[i][k], found[i+1][k], found[i+2][k]
			fmt.Fprintf(to, "| %d | %s | %s | %s | %s | %s | %s | %s |\n", worlds[i].Items, r.name,
				text.Percent(float64(still.Early)/float64(still.Streams)), text.Percent(still.Share()),
				text.Percent(five.Share()), delay(five), text.Percent(ten.Share()), delay(ten))
		}
	}
	fmt.Fprintln(to)
	return nil
}

func delay(f simulate.Found) string {
	if len(f.Delays) == 0 {
		return "-"
	}
	return fmt.Sprint(f.Median())
}
