package stats_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/retraind/retraind/drift/stats"
)

func TestChiSquare(t *testing.T) {
	t.Parallel()
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
			t.Errorf("%s: %.12g, want %.12g", name, got, want)
		}
	}
	// Computed by hand: with two degrees of freedom p is exp(-x/2).
	c := stats.NewChiSquare(map[string]int{"a": 30, "b": 50, "c": 20}, map[string]int{"a": 60, "b": 40, "c": 20})
	near("statistic", c.Statistic, 253.0/27)
	near("p", c.P, math.Exp(-253.0/54))
	if c.Freedom != 2 || c.Pooled != 0 {
		t.Errorf("%+v", c)
	}
	same := map[string]int{"a": 300, "b": 500}
	if c := stats.NewChiSquare(same, same); c.Statistic != 0 || c.P != 1 || c.Freedom != 1 {
		t.Errorf("equal mixes: %+v", c)
	}
	// Rare categories are merged into one column, so that single items are no evidence.
	rare := map[string]int{"a": 500, "b": 500}
	for i := range 5 {
		rare[fmt.Sprint("rare ", i)] = 1
	}
	if c := stats.NewChiSquare(map[string]int{"a": 500, "b": 500}, rare); c.Pooled != 5 || c.Freedom != 2 || c.P < .01 {
		t.Errorf("rare categories: %+v", c)
	}
	for _, none := range []map[string]int{nil, {"a": 0}} {
		if c := stats.NewChiSquare(none, same); c.P != 1 || c.Freedom != 0 {
			t.Errorf("against nothing: %+v", c)
		}
	}
	if c := stats.NewChiSquare(map[string]int{"a": 10}, map[string]int{"a": 10}); c.P != 1 || c.Freedom != 0 {
		t.Errorf("one category: %+v", c)
	}
}
