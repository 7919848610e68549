package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// metrics maps a benchmark's full name to its reported values, by unit.
type metrics map[string]map[string]float64

// get returns one value; the error lists what exists.
func (m metrics) get(bench, metric string) (float64, error) {
	units, ok := m[bench]
	if !ok {
		return 0, fmt.Errorf("%s did not run; there are %s", bench, strings.Join(slices.Sorted(maps.Keys(m)), ", "))
	}
	v, ok := units[metric]
	if !ok {
		return 0, fmt.Errorf("%s reports no %q, only %s", bench, metric, strings.Join(slices.Sorted(maps.Keys(units)), ", "))
	}
	return v, nil
}

// moreIsBetter reports whether higher values of a unit are better: those of rates, and the share of right answers.
func moreIsBetter(unit string) bool {
	return strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "/core-s") || unit == "%right"
}

// keep keeps the best of several runs, because other load on the machine only makes a value worse: the highest value if
// more is better, otherwise the lowest.
func (m metrics) keep(bench, unit string, v float64) {
	old, again := m[bench][unit]
	switch {
	case !again:
	case moreIsBetter(unit):
		v = max(v, old)
	default:
		v = min(v, old)
	}
	m[bench][unit] = v
}

// processors matches the "-8" that go test appends to a benchmark's name when GOMAXPROCS is not 1.
var processors = regexp.MustCompile(`-\d+$`)

// parse reads go test's benchmark lines: name, iterations, then pairs of value and unit.
func parse(r io.Reader) (metrics, error) {
	m := metrics{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue // a log line that happens to start with the word
		}
		name := processors.ReplaceAllString(fields[0], "")
		if m[name] == nil {
			m[name] = map[string]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("parse %q: %w", lines.Text(), err)
			}
			m.keep(name, fields[i+1], v)
		}
	}
	return m, lines.Err()
}

// skipped lists the benchmarks that did not run, without duplicates, each with the reason. go test -v prints the reason
// on the line before.
func skipped(output string) []string {
	var list []string
	before := ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "--- SKIP: "); ok {
			if s := name + " is skipped: " + before; !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
		before = line
	}
	return list
}
