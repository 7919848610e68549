package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/retraind/retraind/policy/simulate"
)

// arithmetic skips a test in the short run (the one under the race detector): the test is long and has no concurrency.
func arithmetic(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("arithmetic")
	}
}

// sigmas is the tolerance in standard deviations: a correct program fails for one of 30,000 seeds.
const sigmas = 4

// A short version of the table of false retrains. The number of false retrains is at most the expectation of a Poisson
// process with the promised rate, plus the tolerance.
func TestPromiseIsKept(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	worlds := []quiet{
		{simulate.World{Accuracy: accuracy, Items: 200, PerDay: 2}, 1},
		{simulate.World{Accuracy: accuracy, Items: 1000, PerDay: 10}, 5},
		{simulate.World{Accuracy: accuracy, Items: 1000, PerDay: 10, Churn: 0.2}, 5},
	}
	found, promise, err := measureFalses(worlds, size{years: 30, jobs: 2, seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		expected := promise * f.Years
		if most := expected + sigmas*math.Sqrt(expected); float64(f.Retrains) > most {
			t.Errorf("%+v: %d false retrains in %.0f years, promised %.0f", worlds[i], f.Retrains, f.Years, expected)
		}
		if f.Years != 30 || f.Labels != int(worlds[i].PerDay*365*30) {
			t.Errorf("%+v: %+v", worlds[i], f)
		}
	}
}

// A short version of the table of detections: retraind finds the jump, and unlike the usual rule does not trip before
// it. The shares are those of docs/honesty.md.
func TestJumpsAreFound(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	const streams = 40
	found, err := measureFound([]simulate.World{{
		Accuracy: accuracy, Items: 1000, PerDay: findPerDay, Jump: .10,
		JumpAt: findQuiet,
	}}, size{streams: streams, jobs: 1, seed: 9})
	if err != nil {
		t.Fatal(err)
	}
	ours, usual := found[0][0], found[0][1]
	if least := .98 - sigmas*math.Sqrt(.98*.02/streams); ours.Share() < least {
		t.Errorf("found in %.2f of the streams, at least %.2f is right", ours.Share(), least)
	}
	if most := .02 + sigmas*math.Sqrt(.02*.98/streams); float64(ours.Early)/streams > most {
		t.Errorf("%d of %d tripped before anything had changed", ours.Early, streams)
	}
	if m := ours.Median(); m < 100 || m > 400 {
		t.Errorf("median delay %d labels", m)
	}
	if least := .7 - sigmas*math.Sqrt(.7*.3/streams); float64(usual.Early)/streams < least {
		t.Errorf("the 2-point rule tripped before the jump in only %d of %d: this test detects nothing", usual.Early, streams)
	}
}

// The shares were computed by another program, with 4,000 draws.
func TestGates(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	const draws, before = 3000, 4000
	for _, c := range []struct {
		gateRow
		notWorse, better, point float64
	}{
		{gateRow{200, -.03}, .005, .001, .105},
		{gateRow{200, 0}, .12, .030, .55},
		{gateRow{200, .03}, .56, .31, .93},
		{gateRow{500, .03}, .89, .65, .99},
		{gateRow{2000, .03}, 1, .995, 1},
	} {
		got := measureGate(c.gateRow, draws, 5)
		for i, want := range []float64{c.notWorse, c.better, c.point} {
			tolerance := sigmas*math.Sqrt(want*(1-want)*(1./draws+1./before)) + .005 // that program rounded
			if math.Abs(got[i]-want) > tolerance {
				t.Errorf("%s at %+v: promoted %.3f, want %.3f ± %.3f", gates()[i], c.gateRow, got[i], want, tolerance)
			}
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	var out, errs bytes.Buffer
	if err := run([]string{"-only", "gate"}, &out, &errs); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2+len(gateRows())+1 ||
		!strings.HasPrefix(out.String(), "| held-out items |") {
		t.Errorf("%d lines:\n%s", lines, out.String())
	}
	if err := run([]string{"-only", "gates"}, &out, &errs); err == nil ||
		!strings.Contains(err.Error(), "false, find, points, clusters, gate") {
		t.Errorf("an unknown table: %v", err)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "gates"}, {"-only", "gate", "find"}, {"-only", "gate", "-jobs", "0"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
