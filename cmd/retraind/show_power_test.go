package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// More labels find less, and what is printed does not take long to find.
func TestWhatAProbationFinds(t *testing.T) {
	t.Parallel()
	r := drift.Report{Scored: 500, Figures: drift.Figures{Correct: 450, Accuracy: .9}}
	for _, c := range []struct {
		rate float64 // labels a day
		want string
	}{
		{0, "a probation of 24h sees about 0 new held-out labels: too few to find anything with 80 % power"},
		{240, "a probation of 24h sees about 240 new held-out labels: it finds a fall of 11.1 points with 80 % power"},
		{10_000, "a probation of 24h sees about 10,000 new held-out labels: the first 5,000 find a fall of 4.8 points with 80 % power"},
	} {
		rules := policy.Config{Probation: &policy.Probation{For: unit.Duration(24 * time.Hour), FalseRollbacks: .05}}
		r.Labels.Rate = c.rate
		var out bytes.Buffer
		p := newPage(&out)
		p.showPower(rules, &r)
		if err := p.print(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, c.want) {
			t.Errorf("%v a day: %q is not in\n%s", c.rate, c.want, got)
		}
	}
}
