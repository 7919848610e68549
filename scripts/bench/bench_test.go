package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const output = `goos: linux
pkg: example
BenchmarkExport/ours-2         	      10	 100 ns/op	  2000 rows/s	  16 B/op
BenchmarkExport/naive-2        	      10	 400 ns/op	  1000 rows/s
BenchmarkExport/ours-2         	      10	 110 ns/op	  1900 rows/s	  16 B/op
BenchmarkPlain                 	 1000000	 1.7 ns/op
BenchmarkPlain                 	 1000000	 1.5 ns/op
BenchmarkBacktest              	      10	 100 evaluations/core-s	  75 %right	 3 %ece
BenchmarkBacktest              	      10	 300 evaluations/core-s	  80 %right	 2 %ece
BenchmarkBacktest              	      10	 200 evaluations/core-s	  70 %right	 4 %ece
Benchmark is a word in a log line
PASS
`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := parse(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	want := metrics{
		"BenchmarkExport/ours":  {"ns/op": 100, "rows/s": 2000, "B/op": 16},
		"BenchmarkExport/naive": {"ns/op": 400, "rows/s": 1000},
		"BenchmarkPlain":        {"ns/op": 1.5},
		"BenchmarkBacktest":     {"evaluations/core-s": 300, "%right": 80, "%ece": 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSkipped(t *testing.T) {
	t.Parallel()
	const out = "BenchmarkA\nBenchmarkA/x\n    a_test.go:3: no data\n--- SKIP: BenchmarkA/x\nBenchmarkA/x\n    a_test.go:3: no data\n--- SKIP: BenchmarkA/x\nPASS\n"
	if diff := cmp.Diff([]string{"BenchmarkA/x is skipped: a_test.go:3: no data"}, skipped(out)); diff != "" {
		t.Error(diff)
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	m, err := parse(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		row  row
		want string // JSON, or the error
	}{
		{
			"floor for a ratio",
			row{
				Name: "r", Bench: "BenchmarkExport/ours", Peer: "BenchmarkExport/naive", Metric: "rows/s", Goal: new(1.5),
				GoalIsRatio: true,
			},
			`{"name":"r","value":2000,"unit":"rows/s","peer":1000,"ratio":2,"goal":1.5,"met":true}`,
		},
		{
			"ceiling missed",
			row{Name: "r", Bench: "BenchmarkPlain", Metric: "ns/op", Goal: new(1.0)},
			`{"name":"r","value":1.5,"unit":"ns/op","peer":null,"ratio":null,"goal":1,"met":false}`,
		},
		{
			"nothing at all is the goal",
			row{Name: "r", Bench: "BenchmarkExport/ours", Metric: "B/op", Goal: new(0.0)},
			`{"name":"r","value":16,"unit":"B/op","peer":null,"ratio":null,"goal":0,"met":false}`,
		},
		{
			"no goal",
			row{Name: "r", Bench: "BenchmarkPlain", Metric: "ns/op"},
			`{"name":"r","value":1.5,"unit":"ns/op","peer":null,"ratio":null,"goal":null,"met":null}`,
		},
		{
			"the peer is not installed",
			row{
				Name: "r", Bench: "BenchmarkPlain", Peer: "BenchmarkGone", PeerMayLack: true, Metric: "ns/op", Goal: new(1.0),
				GoalIsRatio: true,
			},
			`{"name":"r","value":1.5,"unit":"ns/op","peer":null,"ratio":null,"goal":null,"met":null}`,
		},
		{
			"did not run",
			row{Name: "r", Bench: "BenchmarkGone", Metric: "ns/op"},
			`row "r": BenchmarkGone did not run; there are BenchmarkBacktest, BenchmarkExport/naive, BenchmarkExport/ours, BenchmarkPlain`,
		},
		{
			"no data",
			row{Name: "r", Bench: "BenchmarkGone", Metric: "ns/op", MayLack: true},
			`row "r": left out: BenchmarkGone did not run; there are BenchmarkBacktest, BenchmarkExport/naive, BenchmarkExport/ours, BenchmarkPlain`,
		},
		{
			"metric missing",
			row{Name: "r", Bench: "BenchmarkPlain", Metric: "rows/s"},
			`row "r": BenchmarkPlain reports no "rows/s", only ns/op`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			res, err := tc.row.result(m)
			got, merr := json.Marshal(res)
			if merr != nil {
				t.Fatal(merr)
			}
			if err != nil {
				got = []byte(err.Error())
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	list := []row{
		{Package: "./a", Bench: "BenchmarkX/one", Peer: "BenchmarkY"},
		{Package: "./b", Bench: "BenchmarkZ"},
		{Package: "./a", Bench: "BenchmarkX/two"},
	}
	if got, want := pattern(list, "./a"), "^(BenchmarkX|BenchmarkY)$"; got != want {
		t.Errorf("pattern: got %s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{"./a", "./b"}, packages(list)); diff != "" {
		t.Error(diff)
	}
}

// The table of rows itself must be well-formed: no duplicate name, no incomplete row.
func TestRows(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range rows {
		if r.Name == "" || r.Metric == "" || !strings.HasPrefix(r.Package, "./") || !strings.HasPrefix(r.Bench, "Benchmark") {
			t.Errorf("row is incomplete: %+v", r)
		}
		if seen[r.Name] {
			t.Errorf("two rows are named %q", r.Name)
		}
		seen[r.Name] = true
		if r.GoalIsRatio && r.Peer == "" {
			t.Errorf("row %q has a goal for a ratio but no peer", r.Name)
		}
	}
}
