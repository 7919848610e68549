// Command simulate measures what retraind promises: how often the policy retrains without a change, how quickly it
// detects a change, how bursts and clusters of errors affect both, and how often the gate promotes the wrong model. It
// feeds simulated streams, whose true accuracy is known, to the code that decides about real ones, and prints tables
// in Markdown.
//
// It owns the tables of docs/honesty.md; the streams are those of policy/simulate. Streams are simulated concurrently,
// each from its own seed, so that the same command prints the same tables. It never reads a clock or a real model.
//
//	go run ./drift/cmd/simulate             some minutes
//	go run ./drift/cmd/simulate -long       as in docs/honesty.md: 20,000 years, 10,200 streams, 450,000 gates
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// size is how much is simulated.
type size struct {
	years   int // per row of the table of false retrains
	streams int // per row of the table of detections
	draws   int // per cell of the table of gates
	jobs    int // rows simulated at the same time
	seed    uint64
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	long := flags.Bool("long", false, "2,000 years and 200 streams for each row, 50,000 gates for each cell")
	seed := flags.Uint64("seed", 1, "seed of the random streams")
	jobs := flags.Int("jobs", runtime.GOMAXPROCS(0), "rows to simulate at the same time")
	only := flags.String("only", "", "one of `false, find, points, clusters, gate`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: select a table with -only", flags.Arg(0))
	case *jobs < 1:
		return fmt.Errorf("-jobs %d: write 1 or more", *jobs)
	}
	s := size{years: 100, streams: 40, draws: 5000, jobs: *jobs, seed: *seed}
	if *long {
		s.years, s.streams, s.draws = 2000, 200, 50_000
	}
	printed := false
	for _, table := range []struct {
		name  string
		print func(io.Writer, size) error
	}{
		{"false", printFalses},
		{"find", printFound},
		{"points", printPoints},
		{"clusters", printClusters},
		{"gate", printGates},
	} {
		if *only != "" && *only != table.name {
			continue
		}
		printed = true
		if err := table.print(stdout, s); err != nil {
			return err
		}
	}
	if !printed {
		return fmt.Errorf("there is no table %q: the tables are false, find, points, clusters, gate", *only)
	}
	return nil
}
