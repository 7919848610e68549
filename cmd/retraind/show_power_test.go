package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// Fewer labels detect less, and the simulation is quick.
func TestWhatAProbationFinds(t *testing.T) {
	t.Parallel()
	r := drift.Report{Scored: 500, Figures: drift.Figures{Correct: 450, Accuracy: .9}}
	for _, c := range []struct {
		rate float64 // labels a day
		days int     // over this many days
		want string
	}{
		{0, 0, "smallest drop that a probation of 24h detects: unknown until labels have arrived for a day"},
		{0, 30, "a probation of 24h sees about 0 new held-out labels, too few to detect any drop in accuracy with 80% power"},
		{240, 30, "a probation of 24h sees about 240 new held-out labels, enough to detect a drop of 11.3 points with 80% power"},
		{10_000, 30, "a probation of 24h sees about 10,000 new held-out labels; the first 5,000 are enough to detect a drop of 4.8 points with 80% power"},
	} {
		rules := policy.Config{Probation: &policy.Probation{For: unit.Duration(24 * time.Hour), FalseRollbacks: .05}}
		r.Labels.Rate, r.Labels.RateDays = c.rate, c.days
		var out bytes.Buffer
		p := newPage(&out)
		p.showPower(rules, actions.PromoteConfig{}.WithDefaults(), &r)
		if err := p.print(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, c.want) {
			t.Errorf("%v a day: %q is not in\n%s", c.rate, c.want, got)
		}
	}
}

// The output says whether a guarantee assumes independent errors.
func TestWhatClustersMean(t *testing.T) {
	t.Parallel()
	promise := policy.Config{RetrainWhen: policy.Conditions{CategoryRecallDrop: &policy.CategoryRecallDrop{}}}
	for _, c := range []struct {
		rules policy.Config
		n     drift.NewItems
		want  string
	}{
		{policy.Config{}, drift.NewItems{Dependence: 2}, ""},
		{promise, drift.NewItems{N: 40, Dependence: 1}, "is measured after 500 new items"},
		{promise, drift.NewItems{N: 900, Dependence: 1}, ""},
		{promise, drift.NewItems{N: 200, Dependence: 2.34}, "2.3 new items count as one"},
		{policy.Config{Probation: &policy.Probation{}}, drift.NewItems{N: 900, Dependence: 1.1}, "1.1 new items count as one"},
	} {
		if got := clusters(c.rules, c.n); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.n, got, c.want)
		}
	}
}
