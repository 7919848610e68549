package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stream returns a deterministic sequence of errors that other programs can reproduce. Its rate is `before` for the
// first `jump` observations, and `after` from then on.
func stream(n, jump int, before, after float64) []bool {
	out := make([]bool, n)
	for i := range out {
		rate := before
		if i >= jump {
			rate = after
		}
		out[i] = float64((i*i*7919+i*104729+i*i*i*31)%1000) < 1000*rate
	}
	return out
}

// The expected alarms were computed from the definitions by a program in another language, which keeps all
// observations of ADWIN's window.
func TestPublishedTests(t *testing.T) {
	t.Parallel()
	rising := stream(4000, 2000, .10, .22)
	falling := append(stream(4000, 2000, .30, .10), stream(2000, 0, .35, .35)...)
	window := &adwin{}
	for _, c := range []struct {
		name   string
		test   sequential
		stream []bool
		want   []int
	}{
		{"DDM", &ddm{}, rising, []int{161, 2947}}, // the first alarm is false
		{"Page-Hinkley", &pageHinkley{}, rising, []int{2540}},
		{"ADWIN", window, rising, []int{2432, 2464, 2496, 2912}},
		// The fall at 2000 is no alarm; the original ADWIN also cuts at 2112, 2144, 2208, 2240 and 2272.
		{"DDM", &ddm{}, falling, []int{4385}},
		{"Page-Hinkley", &pageHinkley{}, falling, []int{4344}},
		{"ADWIN", &adwin{}, falling, []int{4096, 4128, 4160, 4544}},
	} {
		var got []int
		for i, wrong := range c.stream {
			if c.test.add(wrong) {
				got = append(got, i+1)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if window.n != 2464 {
		t.Errorf("ADWIN keeps %d observations, want 2464", window.n)
	}
}
