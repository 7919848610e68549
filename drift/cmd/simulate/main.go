// Command simulate measures what retraind promises: how often the policy retrains although nothing has changed, how soon
// it finds what has, and how often the gate promotes the wrong model. It plays streams whose truth is known through the
// code that decides about real ones, and prints tables in Markdown.
//
//	go run ./drift/cmd/simulate             some minutes
//	go run ./drift/cmd/simulate -long       the tables of docs/honesty.md: 10,000 years for each row, about an hour
package main

import (
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
	years   int // of each row of the table of false retrains
	streams int // of each row of the table of findings
	draws   int // of each cell of the table of gates
	jobs    int // rows at the same time
	seed    uint64
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	long := flags.Bool("long", false, "10,000 years, 2,000 streams, 50,000 gates")
	seed := flags.Uint64("seed", 1, "another seed gives other streams")
	jobs := flags.Int("jobs", runtime.GOMAXPROCS(0), "rows to simulate at the same time")
	only := flags.String("only", "", "one of `false, find, gate`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := size{years: 500, streams: 200, draws: 5000, jobs: *jobs, seed: *seed}
	if *long {
		s.years, s.streams, s.draws = 10_000, 2000, 50_000
	}
	for _, table := range []struct {
		name  string
		print func(io.Writer, size) error
	}{{"false", printFalses}, {"find", printFound}, {"gate", printGates}} {
		if *only != "" && *only != table.name {
			continue
		}
		if err := table.print(stdout, s); err != nil {
			return err
		}
	}
	return nil
}
