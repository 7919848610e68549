// Command bench runs the benchmarks and reports them: a table for people, bench.json for programs.
//
// The list of rows (rows.go) says what is measured, by which benchmark, in which unit. The command runs the benchmarks
// itself (`go test -bench`), one package after the other, so that measurements do not disturb each other. A row whose
// benchmark did not run or did not report its metric is an error, unless the row says that its data or its peer may be
// missing.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "bench.json", "write the rows as JSON to this `file`")
	benchtime := flags.String("benchtime", "300ms", "as for go test")
	count := flags.Int("count", 3, "number of runs of each benchmark; the best result is used")
	only := flags.String("only", "", "measure only this `package`, e.g. ./drift; no file is written")
	if err := flags.Parse(args); err != nil {
		return err
	}

	var results []result
	for _, pkg := range packages(rows) {
		if *only != "" && pkg != *only {
			continue
		}
		fmt.Fprintln(stderr, "==", pkg)
		measured, err := measure(ctx, stderr, pkg, pattern(rows, pkg), *benchtime, *count)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.Package != pkg {
				continue
			}
			got, err := r.result(measured)
			if errors.Is(err, errLacks) {
				fmt.Fprintln(stderr, err)
				continue
			}
			if err != nil {
				return err
			}
			results = append(results, got)
		}
	}
	if err := table(stdout, results); err != nil {
		return err
	}
	if *only != "" {
		return nil
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*out, append(data, '\n'), 0o644)
}

// measure runs one package's benchmarks and returns every reported metric; it writes the reasons of skipped ones to
// stderr.
func measure(ctx context.Context, stderr io.Writer, pkg, pattern, benchtime string, count int) (metrics, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-v", "-run", "^$", "-bench", pattern, "-benchtime", benchtime, "-count",
		strconv.Itoa(count), "-benchmem", pkg)
	var stdout, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w\n%s%s", pattern, pkg, err, stdout.String(), complaint.String())
	}
	for _, line := range skipped(stdout.String()) {
		fmt.Fprintln(stderr, line)
	}
	return parse(&stdout)
}

// packages lists the packages in the order of their first row.
func packages(rows []row) []string {
	var list []string
	for _, r := range rows {
		if !slices.Contains(list, r.Package) {
			list = append(list, r.Package)
		}
	}
	return list
}
