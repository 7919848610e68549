package policy_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/quiethours"
)

func reasons(d policy.Decision) []policy.Reason {
	var list []policy.Reason
	for _, b := range d.Blocked {
		list = append(list, b.Reason)
	}
	return list
}

func tripped(d policy.Decision) []string {
	var list []string
	for _, c := range d.Conditions {
		if c.Tripped {
			list = append(list, c.Name)
		}
	}
	return list
}

// Each condition trips at its bound, not before.
func TestConditions(t *testing.T) {
	t.Parallel()
	now := noon(t)
	for _, c := range []struct {
		name   string
		change func(r *drift.Report)
		want   []string
	}{
		{"healthy", func(*drift.Report) {}, nil},
		{"accuracy at the bound", func(r *drift.Report) { r.Accuracy, r.Correct = 0.85, 255 }, nil},
		{"accuracy below", func(r *drift.Report) { r.Accuracy, r.Correct = 254.0/300, 254 }, []string{"accuracy_below"}},
		{"urgent", func(r *drift.Report) { r.Accuracy, r.Correct = 0.69, 207 }, []string{"accuracy_below", "accuracy_below"}},
		{"drop without evidence", func(r *drift.Report) { r.Drop = 4 }, nil},
		{"drop and corrections", func(r *drift.Report) {
			r.Drop = 3
			r.Relabels = drift.Relabels{RightToWrong: 13, WrongToRight: 2, P: 0.0037}
		}, []string{"accuracy_drop"}},
		{"drop and corrections that convince at one look only", func(r *drift.Report) {
			r.Drop = 3
			r.Relabels = drift.Relabels{RightToWrong: 12, WrongToRight: 3, P: 0.018}
		}, nil},
		{"drop and chance", func(r *drift.Report) {
			r.Drop = 3
			r.Relabels = drift.Relabels{RightToWrong: 12, WrongToRight: 6, P: 0.12}
		}, nil},
		{
			"too few corrections", func(r *drift.Report) { r.Drop = 3; r.Relabels = drift.Relabels{RightToWrong: 9, P: 0.002} },
			nil,
		},
		{
			"corrections without a drop",
			func(r *drift.Report) { r.Drop = 2.9; r.Relabels = drift.Relabels{RightToWrong: 30, P: 1e-9} }, nil,
		},
		{"drop and arrivals", func(r *drift.Report) {
			r.Drop = 3
			r.NewItems = drift.NewItems{N: 50, Errors: 20, Drop: 31, Alarmed: true}
		}, []string{"accuracy_drop"}},
		{
			"arrivals before the accuracy shows it",
			func(r *drift.Report) { r.NewItems = drift.NewItems{N: 50, Errors: 20, Drop: 31, Alarmed: true} },
			[]string{"accuracy_drop"},
		},
		{
			"arrivals that rose too little",
			func(r *drift.Report) { r.NewItems = drift.NewItems{N: 5000, Errors: 600, Drop: 2.9, Alarmed: true} }, nil,
		},
		{"drop as two samples", func(r *drift.Report) { r.Drop = 12; r.Correct = 237 }, []string{"accuracy_drop"}},
		{"no baseline", func(r *drift.Report) { r.Baseline, r.Drop = nil, 12 }, nil},
		{"macro-F1", func(r *drift.Report) { r.MacroF1Drop = 5 }, []string{"macro_f1_drop"}},
		{
			"recall", func(r *drift.Report) { r.Category[0].Recall, r.Category[0].Correct = 0.69, 69 },
			[]string{"category_recall_below.all"},
		},
		{"recall of a rare category", func(r *drift.Report) { r.Category[2].Recall, r.Category[2].Correct = 0.5, 6 }, nil},
		{"changes", func(r *drift.Report) { r.Labels.Changed, r.Labels.Share = 200, 0.1 }, []string{"label_changes"}},
		{"changes, too few", func(r *drift.Report) { r.Labels.Changed, r.Labels.Share, r.Labels.Items = 49, 0.5, 98 }, nil},
		{"changes, too small a share", func(r *drift.Report) { r.Labels.Changed, r.Labels.Share = 199, 0.0995 }, nil},
		{
			"new category", func(r *drift.Report) { r.Labels.New = map[string]int{"weather": 20, "other": 3} },
			[]string{"new_category"},
		},
		{"new category, too few", func(r *drift.Report) { r.Labels.New = map[string]int{"weather": 19} }, nil},
		{"shift", func(r *drift.Report) { r.Labels.PSI = 0.2 }, []string{"label_shift"}},
		{"age", func(r *drift.Report) { r.Baseline.At = now.Add(-90 * day) }, []string{"max_age"}},
		{"age, not yet", func(r *drift.Report) { r.Baseline.At = now.Add(-90*day + time.Second) }, nil},
	} {
		r := healthy(t)
		c.change(&r)
		p := compile(t, config(t), zone(t, "Europe/Berlin"))
		d := p.Decide(r, policy.History{}, now)
		if diff := cmp.Diff(c.want, tripped(d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if want := len(c.want) > 0; want != (d.Verdict == policy.VerdictRetrain) {
			t.Errorf("%s: verdict %s", c.name, d.Verdict)
		}
		if d.Urgent != (c.name == "urgent") {
			t.Errorf("%s: urgent is %v", c.name, d.Urgent)
		}
		sound(t, d)
	}
}

// sound checks the invariants of every decision.
func sound(t interface{ Errorf(string, ...any) }, d policy.Decision) {
	for _, c := range d.Conditions {
		for _, f := range []float64{c.Value, c.Bound, c.Distance} {
			if math.IsNaN(f) || math.IsInf(f, 0) {
				t.Errorf("%s has the number %v", c.Name, f)
			}
		}
		if c.Text == "" || c.Tripped != (c.State == policy.StateFail) || c.Tripped && c.Labels != 0 {
			t.Errorf("inconsistent condition %+v", c)
		}
	}
	if d.Text == "" || (d.Reason == "") != d.Start() || d.Reason != "" && !slices.Contains(policy.Reasons(), d.Reason) {
		t.Errorf("inconsistent decision: %s %q %q", d.Verdict, d.Reason, d.Text)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Errorf("%v", err)
	}
}

// The number of labels until a condition trips, as explain shows it, is correct.
func TestLabelsToTrip(t *testing.T) {
	t.Parallel()
	now := noon(t)
	c := config(t)
	c.UrgentWhen = policy.Conditions{}
	p := compile(t, c, time.UTC)
	for _, name := range []string{"accuracy_below", "accuracy_drop"} {
		find := func(r drift.Report) policy.Condition {
			for _, c := range p.Decide(r, policy.History{}, now).Conditions {
				if c.Name == name {
					return c
				}
			}
			t.Fatalf("no %s", name)
			return policy.Condition{}
		}
		k := find(healthy(t)).Labels
		if k < 2 || k > 100 {
			t.Fatalf("%s: %d labels", name, k)
		}
		if c := find(wrong(healthy(t), k-1)); c.Tripped || c.Labels != 1 {
			t.Errorf("%s: %d of %d labels: tripped %v, %d missing", name, k-1, k, c.Tripped, c.Labels)
		}
		if c := find(wrong(healthy(t), k)); !c.Tripped {
			t.Errorf("%s: not tripped after the %d labels that it required: %s", name, k, c.Text)
		}
	}
	r := healthy(t)
	for _, c := range p.Decide(r, policy.History{}, now).Conditions {
		switch c.Name {
		case "label_changes":
			if c.Labels != 160 {
				t.Errorf("label_changes requires %d more", c.Labels)
			}
		case "new_category":
			if c.Labels != 20 {
				t.Errorf("new_category requires %d more", c.Labels)
			}
		case "category_recall_below.all": // politics: 102 of 120 are right; it trips after 26 more missed items
			if c.Labels != 26 || !(102.0/146 < 0.7) || 102.0/145 < 0.7 {
				t.Errorf("recall requires %d more", c.Labels)
			}
		}
	}
}

func TestReportStates(t *testing.T) {
	t.Parallel()
	p := compile(t, config(t), zone(t, "Europe/Berlin"))
	for state, want := range map[drift.State]struct {
		verdict policy.Verdict
		reason  policy.Reason
	}{
		drift.StateOK:           {policy.VerdictHold, policy.ReasonNothingTripped},
		drift.StateNoRelease:    {policy.VerdictRetrain, policy.ReasonWindowClosed},
		drift.StateUnscored:     {policy.VerdictInconclusive, policy.ReasonInsufficientData},
		drift.StateInsufficient: {policy.VerdictInconclusive, policy.ReasonInsufficientData},
		drift.StateAsleep:       {policy.VerdictHold, policy.ReasonServiceAsleep},
		drift.StateError:        {policy.VerdictHold, policy.ReasonEvaluationFailed},
	} {
		r := healthy(t)
		r.State = state
		if state != drift.StateOK { // figures that would trip every condition if they counted
			r.Accuracy, r.Drop, r.Labels.Changed, r.Labels.Share = 0.1, 80, 1999, 0.99
		}
		d := p.Decide(r, policy.History{}, noon(t))
		if d.Verdict != want.verdict || d.Reason != want.reason {
			t.Errorf("%s: %s %s (%s)", state, d.Verdict, d.Reason, d.Text)
		}
		sound(t, d)
	}
	r := healthy(t)
	r.Scored = 0
	if d := p.Decide(r, policy.History{}, noon(t)); d.Verdict != policy.VerdictInconclusive ||
		d.Reason != policy.ReasonInsufficientData {
		t.Errorf("nothing scored: %s %s", d.Verdict, d.Reason)
	}
	r = healthy(t)
	r.Drop = 4
	if d := p.Decide(r, policy.History{}, noon(t)); d.Verdict != policy.VerdictInconclusive ||
		d.Reason != policy.ReasonInsufficientData {
		t.Errorf("a drop without evidence: %s %s %s", d.Verdict, d.Reason, d.Text)
	}
}

// The first release waits until there are labels and the first read is complete; a forced run does not wait.
func TestFirstReleaseWaitsForLabels(t *testing.T) {
	t.Parallel()
	p := compile(t, config(t), zone(t, "Europe/Berlin"))
	night := time.Date(2026, 11, 18, 23, 0, 0, 0, zone(t, "Europe/Berlin"))
	for _, c := range []struct {
		name    string
		labels  int
		history policy.History
		start   bool
	}{
		{"none", 0, policy.History{}, false},
		{"a part", 700, policy.History{Reading: true}, false},
		{"all", 700, policy.History{}, true},
		{"none, forced", 0, policy.History{Force: &policy.Force{By: "ann"}}, true},
	} {
		r := drift.Report{Model: "news", State: drift.StateNoRelease, Labels: drift.Labels{Items: c.labels}}
		d := p.Decide(r, c.history, night)
		if d.Verdict != policy.VerdictRetrain || d.Start() != c.start || !c.start &&
			d.Reason != policy.ReasonInsufficientData {
			t.Errorf("%s: %s %s (%s)", c.name, d.Verdict, d.Reason, d.Text)
		}
		sound(t, d)
	}
	r := healthy(t) // a release serves: a full read blocks no retrain
	r.Drop = 40
	if d := p.Decide(r, policy.History{Reading: true}, night); d.Reason == policy.ReasonInsufficientData &&
		len(d.Blocked) > 0 {
		t.Errorf("a deployed model waits: %s", d.Text)
	}
}

// Labels written by retraind's own runs never make the next retrain due, and the reason is shown.
func TestSelfOrigin(t *testing.T) {
	t.Parallel()
	p := compile(t, config(t), zone(t, "Europe/Berlin"))
	r := healthy(t)
	r.Labels.Own = 500
	d := p.Decide(r, policy.History{}, noon(t))
	want := "no retrain is needed: 540 of 2000 labels changed since the training, but 500 of them do not count, because retraind's own runs wrote them"
	if d.Verdict != policy.VerdictHold || d.Reason != policy.ReasonSelfOrigin || d.Text != want {
		t.Errorf("%s %s: %s", d.Verdict, d.Reason, d.Text)
	}
	r.Labels.Own = 100 // not enough even with them
	if d := p.Decide(r, policy.History{}, noon(t)); d.Reason != policy.ReasonNothingTripped {
		t.Errorf("%s: %s", d.Reason, d.Text)
	}
}

func TestSuspiciousLabels(t *testing.T) {
	t.Parallel()
	r := wrong(healthy(t), 60)
	r.Suspicion = &drift.Suspicion{Suspicious: true, Text: "author mallory made 90 of 90 relabels"}
	c := config(t)
	c.QuietHours = nil
	p := compile(t, c, zone(t, "Europe/Berlin"))
	d := p.Decide(r, policy.History{}, noon(t))
	if want := "labels are suspicious: author mallory made 90 of 90 relabels"; d.Verdict != policy.VerdictRetrain ||
		d.Start() || d.Reason != policy.ReasonSuspiciousLabels || d.Blocked[0].Text != want ||
		!strings.HasSuffix(d.Text, "and waits: "+want) {
		t.Errorf("%s %s: %s", d.Verdict, d.Reason, d.Text)
	}
	var b strings.Builder
	if err := d.Render(&b, policy.RenderOptions{}); err != nil || !strings.Contains(b.String(), "labels are suspicious") ||
		!strings.Contains(b.String(), "retraind trigger") {
		t.Errorf("%v\n%s", err, b.String())
	}
	if d := p.Decide(r, policy.History{Force: &policy.Force{By: "anna"}}, noon(t)); !d.Start() {
		t.Errorf("a requested retrain waits: %s", d.Text)
	}
	r.Suspicion.Suspicious = false
	if d := p.Decide(r, policy.History{}, noon(t)); !d.Start() {
		t.Errorf("labels that are not suspicious block a run: %s", d.Text)
	}
	r.Suspicion.Suspicious = true
	c.Limits.SuspiciousLabels = policy.SuspiciousIgnore
	if d := compile(t, c, zone(t, "Europe/Berlin")).Decide(r, policy.History{}, noon(t)); !d.Start() {
		t.Errorf("blocked although ignored: %s", d.Text)
	}
	c.Limits.SuspiciousLabels = "maybe"
	if found := c.Validate(zone(t, "Europe/Berlin")); len(found) != 1 ||
		!strings.Contains(found[0].Hint, "write hold or ignore") {
		t.Error(found)
	}
}

func TestWhen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"drop > 0.009 and changed >= 40": true,
		"drop > 0.02":                    false,
		"accuracy < 0.5 or (worst_recall < 0.9 and not alarmed)": true,
		"abs(macro_f1 - accuracy) < 0.03":                        true,
		"drop / 0 > 1":                                           true, // infinite, not an error
		"age_hours == 240":                                       true,
		"max(changed, 3) % 2 == 0":                               true,
		"true":                                                   true,
	} {
		c := policy.Defaults()
		c.RetrainWhen.When = &policy.When{Expression: text}
		d := compile(t, c, time.UTC).Decide(healthy(t), policy.History{}, noon(t))
		if (d.Verdict == policy.VerdictRetrain) != want {
			t.Errorf("%s: %s (%s)", text, d.Verdict, d.Text)
		}
		sound(t, d)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	a := compile(t, config(t), time.UTC).Digest()
	if b := compile(t, config(t), time.UTC).Digest(); a != b || len(a) != 64 {
		t.Errorf("the same configuration has the digests %s and %s", a, b)
	}
	seen := map[string]string{a: "unchanged"}
	note := func(what string, p *policy.Policy) {
		if other, dup := seen[p.Digest()]; dup {
			t.Errorf("%s has the digest of %s", what, other)
		}
		seen[p.Digest()] = what
	}
	note("another zone", compile(t, config(t), zone(t, "Europe/Berlin")))
	c := config(t)
	c.RetrainWhen.AccuracyBelow = below(0.86)
	note("another bound", compile(t, c, time.UTC))
	c = config(t)
	c.Limits.Budget = unit.Rate{Count: 4, Per: c.Limits.Budget.Per}
	note("another budget", compile(t, c, time.UTC))
	for _, date := range []string{"20261224", "20261225"} {
		c = config(t)
		c.QuietHours = append(c.QuietHours, quiethours.WindowConfig{Except: []string{"h.ics"}})
		p, err := policy.Compile(c, time.UTC, policy.Options{ReadFile: func(string) ([]byte, error) {
			return []byte("BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:" + date + "\r\nEND:VEVENT\r\n"), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		note("a calendar with "+date, p)
	}
}
