package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// row defines one line of the report.
type row struct {
	Name    string // what is measured, in words
	Package string // e.g. "./drift"
	Bench   string // benchmark with sub-benchmarks, e.g. "BenchmarkApply/1000000"
	Metric  string // as go test prints it: "ns/op", "B/op", or one of b.ReportMetric; also the unit shown
	// Peer is the benchmark of the same package whose value is compared with this one; "" for none.
	Peer string
	// PeerMetric is the metric to read from Peer; "" means the same as Metric. A benchmark that measures two ways
	// alternately reports one metric for each: Peer is then the same as Bench.
	PeerMetric string
	// PeerMayLack means that the peer is another program that may not be installed; the row then has no ratio, and its
	// goal is not checked.
	PeerMayLack bool
	// MayLack means that the benchmark needs data that may not exist; the row is then left out.
	MayLack bool
	// Goal is the limit for the value, or for the ratio to the peer when GoalIsRatio is set; nil means none. It is a floor
	// if more of the metric is better, otherwise a ceiling.
	Goal        *float64
	GoalIsRatio bool
}

// result is one entry of bench.json.
type result struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Peer  *float64 `json:"peer"`
	Ratio *float64 `json:"ratio"`
	Goal  *float64 `json:"goal"`
	Met   *bool    `json:"met"`
}

// errLacks is the error of a row that is left out.
var errLacks = errors.New("left out")

// result computes a row's result. The ratio is value / peer.
func (r row) result(m metrics) (result, error) {
	value, err := m.get(r.Bench, r.Metric)
	if err != nil && r.MayLack {
		return result{}, fmt.Errorf("row %q: %w: %v", r.Name, errLacks, err)
	}
	if err != nil {
		return result{}, fmt.Errorf("row %q: %w", r.Name, err)
	}
	res := result{Name: r.Name, Value: value, Unit: r.Metric}
	judged := value
	if r.Peer != "" {
		peer, err := m.get(r.Peer, cmp.Or(r.PeerMetric, r.Metric))
		if err != nil && r.PeerMayLack {
			return res, nil
		}
		if err != nil {
			return result{}, fmt.Errorf("row %q: peer: %w", r.Name, err)
		}
		ratio := value / peer
		res.Peer, res.Ratio = &peer, &ratio
		if r.GoalIsRatio {
			judged = ratio
		}
	}
	if r.Goal != nil {
		met := judged <= *r.Goal
		if moreIsBetter(r.Metric) {
			met = judged >= *r.Goal
		}
		res.Goal, res.Met = r.Goal, &met
	}
	return res, nil
}

// pattern returns the -bench expression that runs a package's rows and their peers, each top-level benchmark once.
func pattern(rows []row, pkg string) string {
	var names []string
	for _, r := range rows {
		for _, bench := range []string{r.Bench, r.Peer} {
			top, _, _ := strings.Cut(bench, "/")
			if r.Package == pkg && top != "" && !slices.Contains(names, regexp.QuoteMeta(top)) {
				names = append(names, regexp.QuoteMeta(top))
			}
		}
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// table prints the results for people.
func table(w io.Writer, results []result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "WHAT\tVALUE\tUNIT\tPEER\tRATIO\tGOAL\tMET")
	for _, r := range results {
		met := "-"
		if r.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*r.Met]
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, figure(&r.Value), r.Unit, figure(r.Peer), figure(r.Ratio),
			figure(r.Goal), met)
	}
	return tw.Flush()
}

// figure formats a value with four significant digits, or as a whole number from 1000 on; "-" for nil.
func figure(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v >= 1000 || *v <= -1000:
		return fmt.Sprintf("%.0f", *v)
	default:
		return fmt.Sprintf("%.4g", *v)
	}
}
