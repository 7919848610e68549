package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// at returns the healthy report with another accuracy.
func at(t testing.TB, accuracy float64) drift.Report {
	r := healthy(t)
	r.Accuracy, r.Correct = accuracy, int(accuracy*float64(r.Scored)+0.5)
	r.Drop = (r.Baseline.Accuracy - accuracy) * 100
	return r
}

// story decides on a series of reports, each with the previous decision as its history.
type story struct {
	p    *policy.Policy
	now  time.Time
	last *policy.Decision
}

func (s *story) decide(r drift.Report, after time.Duration) policy.Decision {
	s.now = s.now.Add(after)
	d := s.p.Decide(r, policy.History{Last: s.last}, s.now)
	s.last = &d
	return d
}

func floorFor(t testing.TB, lasts time.Duration, margin float64) *story {
	c := policy.Defaults()
	c.RetrainWhen.AccuracyBelow = &policy.AccuracyBelow{
		Share: 0.85, For: unit.Duration(lasts),
		Margin: unit.Points(margin),
	}
	return &story{p: compile(t, c, zone(t, "Europe/Berlin")), now: noon(t)}
}

// A condition trips when the breach has lasted long enough; an interruption restarts the time.
func TestFor(t *testing.T) {
	t.Parallel()
	s := floorFor(t, 6*hour, 0)
	d := s.decide(at(t, 0.84), 0)
	c := d.Conditions[0]
	if d.Verdict != policy.VerdictHold || d.Reason != policy.ReasonNothingTripped || c.Tripped ||
		!c.Trips.Equal(s.now.Add(6*hour)) || !c.Since.Equal(s.now) {
		t.Fatalf("first: %s %s %+v", d.Verdict, d.Reason, c)
	}
	if want := "no retrain is needed: accuracy is 84.0%, below 85.0%, for 0s; it trips after 6h"; d.Text != want {
		t.Errorf("text is %q", d.Text)
	}
	if d := s.decide(at(t, 0.80), 5*hour); d.Verdict != policy.VerdictHold ||
		!strings.Contains(d.Text, "for 5h; it trips after 6h") {
		t.Errorf("after 5h: %s %q", d.Verdict, d.Text)
	}
	if d := s.decide(at(t, 0.84), hour); !d.Start() || d.Conditions[0].Trips.After(s.now) {
		t.Errorf("after 6h: %s %q", d.Verdict, d.Text)
	}
	if d := s.decide(at(t, 0.85), hour); d.Verdict != policy.VerdictHold || !d.Conditions[0].Since.IsZero() {
		t.Errorf("recovered: %s %q", d.Verdict, d.Text)
	}
	if d := s.decide(at(t, 0.84), hour); d.Verdict != policy.VerdictHold || !d.Conditions[0].Since.Equal(s.now) {
		t.Errorf("again: %s %+v", d.Verdict, d.Conditions[0])
	}
}

// A report that cannot be judged neither confirms a breach nor ends it.
func TestForOverSleep(t *testing.T) {
	t.Parallel()
	s := floorFor(t, 6*hour, 1)
	s.decide(at(t, 0.84), 0)
	since := s.now
	asleep := at(t, 0.84)
	asleep.State = drift.StateAsleep
	if d := s.decide(asleep, 7*hour); d.Reason != policy.ReasonServiceAsleep || !d.Conditions[0].Since.Equal(since) {
		t.Errorf("asleep: %s %+v", d.Reason, d.Conditions[0])
	}
	if d := s.decide(at(t, 0.84), hour); !d.Start() {
		t.Errorf("awake: %s", d.Text)
	}
	if d := s.decide(asleep, hour); d.Start() || !d.Conditions[0].Latched {
		t.Errorf("asleep again: %s %+v", d.Text, d.Conditions[0])
	}
	if d := s.decide(at(t, 0.855), hour); !d.Start() {
		t.Errorf("within the margin: %s", d.Text)
	}
}

// A condition that tripped clears only beyond its margin.
func TestMargin(t *testing.T) {
	t.Parallel()
	s := floorFor(t, 0, 1)
	if d := s.decide(at(t, 0.855), 0); d.Verdict != policy.VerdictHold {
		t.Errorf("above the floor: %s", d.Text)
	}
	if d := s.decide(at(t, 0.84), hour); !d.Start() || !d.Conditions[0].Latched {
		t.Errorf("below: %s", d.Text)
	}
	d := s.decide(at(t, 0.855), hour)
	if !d.Start() || !strings.HasSuffix(d.Text,
		"accuracy is 85.5%, not below 85.0%; it tripped before and clears at 86.0%") {
		t.Errorf("within the margin: %s", d.Text)
	}
	if d := s.decide(at(t, 0.8601), hour); d.Verdict != policy.VerdictHold || d.Conditions[0].Latched {
		t.Errorf("beyond the margin: %s", d.Text)
	}
	if d := s.decide(at(t, 0.855), hour); d.Verdict != policy.VerdictHold {
		t.Errorf("cleared: %s", d.Text)
	}
}

// The stored state is kept for one release and one bound: another release restarts it, an edit of other rules does
// not.
func TestMemoryIsOfOneRule(t *testing.T) {
	t.Parallel()
	s := floorFor(t, 6*hour, 1)
	s.decide(at(t, 0.84), 0)
	other := at(t, 0.84)
	other.Release = "sha256:def"
	was := *s.last
	if d := s.decide(other, 7*hour); d.Start() {
		t.Error("a new release inherits the time")
	}
	c := s.p.Config()
	c.Limits.Breaker = 7
	s.p, s.last = compile(t, c, zone(t, "Europe/Berlin")), &was
	if d := s.decide(at(t, 0.84), 0); !d.Start() {
		t.Errorf("an edit of another rule resets the time: %s", d.Text)
	}
	c.RetrainWhen.AccuracyBelow.Share = 0.86
	s.p, s.last = compile(t, c, zone(t, "Europe/Berlin")), &was
	if d := s.decide(at(t, 0.84), 0); d.Start() {
		t.Error("another bound inherits the time")
	}
}

// Random walks: a condition never trips before the breach has lasted, never clears within the margin, and a step's
// result depends only on that step and the one before.
func TestRandomWalks(t *testing.T) {
	t.Parallel()
	base := healthy(t)
	start := noon(t)
	rapid.Check(t, func(t *rapid.T) {
		lasts := time.Duration(rapid.IntRange(0, 10).Draw(t, "for")) * hour
		margin := float64(rapid.IntRange(0, 3).Draw(t, "margin"))
		c := policy.Defaults()
		c.RetrainWhen.AccuracyBelow = &policy.AccuracyBelow{
			Share: 0.85, For: unit.Duration(lasts),
			Margin: unit.Points(margin),
		}
		p, err := policy.Compile(c, time.UTC, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var last *policy.Decision
		var below time.Time // start of the present, uninterrupted breach
		tripped := false
		now := start
		for range 60 {
			now = now.Add(time.Duration(rapid.IntRange(1, 180).Draw(t, "minutes")) * time.Minute)
			r := base
			r.Correct = rapid.IntRange(245, 270).Draw(t, "correct")
			r.Accuracy = float64(r.Correct) / float64(r.Scored)
			d := p.Decide(r, policy.History{Last: last}, now)
			sound(t, d)
			breached := r.Accuracy < 0.85
			switch {
			case !breached:
				below = time.Time{}
			case below.IsZero():
				below = now
			}
			want := breached && (tripped || now.Sub(below) >= lasts) || tripped && r.Accuracy-0.85 < margin/100
			if tripped && !want {
				below = time.Time{}
			}
			if d.Start() != want {
				t.Fatalf("at %v, for %s, margin %v, tripped before %t, below since %v: %s", r.Accuracy, lasts, margin, tripped,
					below, d.Text)
			}
			tripped, last = want, &d
		}
	})
}

// Zero is a valid threshold and does not mean "none": the condition trips at the first change.
func TestZeroThresholds(t *testing.T) {
	t.Parallel()
	c, readable, problems := decode(t, "f.yaml", `retrain_when:
  accuracy_drop: {points: 0}
  macro_f1_drop: {points: 0}
  label_changes: {at_least: 0}
  new_category: {examples: 0}
  label_shift: {psi: 0}
  max_age: 0s
limits: {cooldown: 0s, breaker: 0}
`)
	if !readable || problems.Err() != nil {
		t.Fatal(problems)
	}
	p := compile(t, c, time.UTC)
	r := healthy(t)
	r.Drop, r.MacroF1Drop, r.Labels = 0, 0, drift.Labels{Items: 100}
	if diff := cmp.Diff([]string{"max_age"}, tripped(p.Decide(r, policy.History{}, noon(t)))); diff != "" {
		t.Errorf("nothing happened (-want +got):\n%s", diff)
	}
	r.Drop, r.MacroF1Drop, r.Labels = 0.1, 0.1, drift.Labels{
		Items: 100, Changed: 1, Share: 0.01,
		New: map[string]int{"x": 1}, PSI: 0.001,
	}
	r.NewItems.Alarmed = true
	if diff := cmp.Diff([]string{
		"accuracy_drop", "macro_f1_drop", "label_changes", "new_category", "label_shift",
		"max_age",
	}, tripped(p.Decide(r, policy.History{}, noon(t)))); diff != "" {
		t.Errorf("a little happened (-want +got):\n%s", diff)
	}
}

// A tripped condition clears exactly at the value that its text names, for every floor.
func TestMarginIsReached(t *testing.T) {
	t.Parallel()
	for floor := 50; floor < 98; floor++ {
		c := policy.Defaults()
		c.RetrainWhen.AccuracyBelow = &policy.AccuracyBelow{Share: unit.Percent(float64(floor) / 100), Margin: 1}
		s := &story{p: compile(t, c, time.UTC), now: noon(t)}
		s.decide(at(t, float64(floor-1)/100), 0)
		if d := s.decide(at(t, float64(floor+1)/100), hour); d.Conditions[0].Tripped {
			t.Errorf("%s", d.Text)
		}
	}
}
