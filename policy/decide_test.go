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

// sound checks what holds for every decision.
func sound(t interface{ Errorf(string, ...any) }, d policy.Decision) {
	for _, c := range d.Conditions {
		for _, f := range []float64{c.Value, c.Bound, c.Distance} {
			if math.IsNaN(f) || math.IsInf(f, 0) {
				t.Errorf("%s has the number %v", c.Name, f)
			}
		}
		if c.Text == "" || c.Tripped != (c.State == policy.StateFail) || c.Tripped && c.Labels != 0 {
			t.Errorf("unsound condition %+v", c)
		}
	}
	if d.Text == "" || (d.Reason == "") != d.Start() || d.Reason != "" && !slices.Contains(policy.Reasons(), d.Reason) {
		t.Errorf("unsound decision: %s %q %q", d.Verdict, d.Reason, d.Text)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Errorf("%v", err)
	}
}

// What the explanation says about missing labels is what happens when they come.
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
			t.Errorf("%s: not tripped after the %d labels it asked for: %s", name, k, c.Text)
		}
	}
	r := healthy(t)
	for _, c := range p.Decide(r, policy.History{}, now).Conditions {
		switch c.Name {
		case "label_changes":
			if c.Labels != 160 {
				t.Errorf("label_changes misses %d", c.Labels)
			}
		case "new_category":
			if c.Labels != 20 {
				t.Errorf("new_category misses %d", c.Labels)
			}
		case "category_recall_below.all": // politics: 102 of 120, 26 more of it that are missed
			if c.Labels != 26 || !(102.0/146 < 0.7) || 102.0/145 < 0.7 {
				t.Errorf("recall misses %d", c.Labels)
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
		if state != drift.StateOK { // figures that would trip everything, if they counted
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

// A first release waits until the labels are there, and all of them; a person need not wait.
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
	r := healthy(t) // a release serves: what a source reads anew does not stop the rest
	r.Drop = 40
	if d := p.Decide(r, policy.History{Reading: true}, night); d.Reason == policy.ReasonInsufficientData &&
		len(d.Blocked) > 0 {
		t.Errorf("a deployed model waits: %s", d.Text)
	}
}

func TestBlockers(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	now := time.Date(2026, 11, 18, 23, 0, 0, 0, loc) // in the quiet hours, until 06:00
	run := func(ago time.Duration, outcome policy.Outcome, info string) policy.RunFact {
		return policy.RunFact{ID: "r", Started: now.Add(-ago - hour), Ended: now.Add(-ago), Outcome: outcome, Info: info}
	}
	for _, c := range []struct {
		name    string
		history policy.History
		want    []policy.Reason
		until   time.Time
	}{
		{"free", policy.History{}, nil, time.Time{}},
		{"active", policy.History{Active: "r7"}, []policy.Reason{policy.ReasonRunActive}, time.Time{}},
		{"held", policy.History{Held: &policy.Hold{By: "ann"}}, []policy.Reason{policy.ReasonHeld}, time.Time{}},
		{
			"held until",
			policy.History{Held: &policy.Hold{Until: now.Add(hour)}},
			[]policy.Reason{policy.ReasonHeld},
			now.Add(hour),
		},
		{"hold is over", policy.History{Held: &policy.Hold{Until: now}}, nil, time.Time{}},
		{"paused", policy.History{Paused: &policy.Hold{}}, []policy.Reason{policy.ReasonPaused}, time.Time{}},
		{
			"cooldown",
			policy.History{Runs: []policy.RunFact{run(23*hour, policy.OutcomePromoted, "a")}},
			[]policy.Reason{policy.ReasonCooldown},
			now.Add(hour),
		},
		{
			"cooldown counts from the end",
			policy.History{Runs: []policy.RunFact{{
				Started: now.Add(-30 * hour), Ended: now.Add(-2 * hour),
				Outcome: policy.OutcomePromoted,
			}}},
			[]policy.Reason{policy.ReasonCooldown},
			now.Add(22 * hour),
		},
		{
			"cooldown over",
			policy.History{Runs: []policy.RunFact{run(24*hour, policy.OutcomePromoted, "a")}},
			nil,
			time.Time{},
		},
		{
			"budget",
			policy.History{Runs: []policy.RunFact{
				run(2*day, policy.OutcomePromoted, "c"),
				run(4*day, policy.OutcomePromoted, "b"), run(6*day, policy.OutcomePromoted, "a"),
			}},
			[]policy.Reason{policy.ReasonBudget},
			now.Add(-6*day - hour + 7*day),
		},
		{"budget rolls", policy.History{Runs: []policy.RunFact{
			run(2*day, policy.OutcomePromoted, "c"),
			run(4*day, policy.OutcomePromoted, "b"), run(7*day, policy.OutcomePromoted, "a"),
		}}, nil, time.Time{}},
		{"a run that goes on in the next quiet hours counts for nothing", policy.History{Runs: []policy.RunFact{
			{
				ID: "r3", Started: now.Add(-9 * hour), Ended: now.Add(-2 * hour), Outcome: policy.OutcomeBlocked,
				Why: policy.ReasonWindowClosed,
			},
			{
				ID: "r2", Started: now.Add(-33 * hour), Ended: now.Add(-26 * hour), Outcome: policy.OutcomeBlocked,
				Why: policy.ReasonWindowTooShort,
			},
			run(3*day, policy.OutcomePromoted, "b"), run(4*day, policy.OutcomePromoted, "a"),
		}}, nil, time.Time{}},
		{
			"a run that failed before it trained counts for nothing but a short pause",
			policy.History{Info: "x", Runs: []policy.RunFact{
				{
					ID: "r3", Started: now.Add(-11 * time.Minute), Ended: now.Add(-8 * time.Minute), Outcome: policy.OutcomeFailed,
					Info: "x", Untrained: true,
				},
				{
					ID: "r2", Started: now.Add(-31 * time.Minute), Ended: now.Add(-30 * time.Minute), Outcome: policy.OutcomeFailed,
					Info: "x", Untrained: true,
				},
				{
					ID: "r1", Started: now.Add(-51 * time.Minute), Ended: now.Add(-50 * time.Minute), Outcome: policy.OutcomeFailed,
					Info: "x", Untrained: true,
				},
			}},
			[]policy.Reason{policy.ReasonCooldown},
			now.Add(12 * time.Minute),
		},
		{"and then for nothing at all", policy.History{Info: "x", Runs: []policy.RunFact{
			{
				ID: "r3", Started: now.Add(-41 * time.Minute), Ended: now.Add(-40 * time.Minute), Outcome: policy.OutcomeFailed,
				Info: "x", Untrained: true,
			},
			{
				ID: "r2", Started: now.Add(-61 * time.Minute), Ended: now.Add(-60 * time.Minute), Outcome: policy.OutcomeFailed,
				Info: "x", Untrained: true,
			},
			{
				ID: "r1", Started: now.Add(-81 * time.Minute), Ended: now.Add(-80 * time.Minute), Outcome: policy.OutcomeFailed,
				Info: "x", Untrained: true,
			},
		}}, nil, time.Time{}},
		{"breaker", policy.History{
			Info: "x",
			Runs: []policy.RunFact{
				run(8*day, policy.OutcomeFailed, "x"), run(9*day, policy.OutcomeRolledBack, "x"),
				run(10*day, policy.OutcomeFailed, "w"),
			},
		}, []policy.Reason{policy.ReasonBreakerOpen}, time.Time{}},
		{"breaker half-open", policy.History{
			Info: "y",
			Runs: []policy.RunFact{
				run(8*day, policy.OutcomeFailed, "x"), run(9*day, policy.OutcomeRolledBack, "x"),
				run(10*day, policy.OutcomeFailed, "w"),
			},
		}, nil, time.Time{}},
		{
			"breaker open again",
			policy.History{
				Info: "y",
				Runs: []policy.RunFact{
					run(7*day, policy.OutcomeFailed, "y"), run(8*day, policy.OutcomeFailed, "x"),
					run(9*day, policy.OutcomeRolledBack, "x"), run(10*day, policy.OutcomeFailed, "w"),
				},
			},
			[]policy.Reason{policy.ReasonBreakerOpen},
			time.Time{},
		},
		{
			"breaker: a promotion between",
			policy.History{Info: "x", Runs: []policy.RunFact{
				run(8*day, policy.OutcomeFailed, "x"),
				run(9*day, policy.OutcomeFailed, "x"), run(10*day, policy.OutcomePromoted, "w"),
				run(11*day, policy.OutcomeFailed, "w"),
			}},
			nil,
			time.Time{},
		},
		{
			"breaker: labels unknown",
			policy.History{Runs: []policy.RunFact{
				run(8*day, policy.OutcomeFailed, "x"),
				run(9*day, policy.OutcomeFailed, "x"), run(10*day, policy.OutcomeFailed, "w"),
			}},
			[]policy.Reason{policy.ReasonBreakerOpen},
			time.Time{},
		},
		{"cancelled runs do not count", policy.History{Info: "x", Runs: []policy.RunFact{run(7*day, policy.OutcomeCancelled, "x"), run(8*day, policy.OutcomeFailed, "x"), run(9*day, policy.OutcomeFailed, "x")}}, nil, time.Time{}},
		{"nothing new", policy.History{Info: "x", Runs: []policy.RunFact{run(8*day, policy.OutcomeRejected, "x")}}, []policy.Reason{policy.ReasonNoNewInformation}, time.Time{}},
		{"rolled back on the same labels and code", policy.History{Info: "x", Code: "c", Runs: []policy.RunFact{{ID: "r1", Started: noon(t).Add(-8 * day), Ended: noon(t).Add(-8 * day), Outcome: policy.OutcomeRolledBack, Info: "x", Code: "c"}}}, []policy.Reason{policy.ReasonNoNewInformation}, time.Time{}},
		{"rolled back, with other code", policy.History{Info: "x", Code: "d", Runs: []policy.RunFact{{ID: "r1", Started: noon(t).Add(-8 * day), Ended: noon(t).Add(-8 * day), Outcome: policy.OutcomeRolledBack, Info: "x", Code: "c"}}}, nil, time.Time{}},
		{"something new", policy.History{Info: "y", Runs: []policy.RunFact{run(8*day, policy.OutcomeRejected, "x")}}, nil, time.Time{}},
		{"fits", policy.History{Needs: 6 * hour}, nil, time.Time{}},
		{"too short", policy.History{Needs: 6*hour + time.Second}, []policy.Reason{policy.ReasonWindowTooShort}, time.Date(2026, 11, 19, 22, 0, 0, 0, loc)},
		{"waits for the weekend", policy.History{Needs: 20 * hour}, []policy.Reason{policy.ReasonWindowTooShort}, time.Date(2026, 11, 20, 22, 0, 0, 0, loc)},
		{"never fits", policy.History{Needs: 60 * hour}, []policy.Reason{policy.ReasonWindowTooShort}, time.Time{}},
	} {
		rules := config(t)
		rules.Limits.Reserve = unit.Duration(hour)
		r := wrong(healthy(t), 20)
		d := compile(t, rules, loc).Decide(r, c.history, now)
		if diff := cmp.Diff(c.want, reasons(d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
			continue
		}
		if len(c.want) > 0 && (!d.Blocked[0].Until.Equal(c.until) || d.Reason != c.want[0] || !d.Armed() || d.Start()) {
			t.Errorf("%s: until %s, want %s (%s)", c.name, d.Blocked[0].Until, c.until, d.Text)
		}
		if len(c.want) == 0 && (!d.Start() || d.Reason != "") {
			t.Errorf("%s: does not start: %s", c.name, d.Text)
		}
		sound(t, d)
	}
}

func TestWindowClosedNamesTheOpening(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	d := compile(t, config(t), loc).Decide(wrong(healthy(t), 20), policy.History{Needs: 9 * hour}, noon(t))
	opens, fits := time.Date(2026, 11, 18, 22, 0, 0, 0, loc), time.Date(2026, 11, 20, 22, 0, 0, 0, loc)
	if !d.WindowNext.Equal(opens) || len(d.Blocked) != 1 || d.Blocked[0].Reason != policy.ReasonWindowClosed || !d.Blocked[0].Until.Equal(fits) {
		t.Errorf("opens %s, blocked %+v", d.WindowNext, d.Blocked)
	}
}

func TestUrgentSkipsQuietHoursAlone(t *testing.T) {
	t.Parallel()
	p := compile(t, config(t), zone(t, "Europe/Berlin"))
	r := wrong(healthy(t), 80)
	if d := p.Decide(r, policy.History{}, noon(t)); !d.Urgent || !d.Start() {
		t.Errorf("does not start: %s", d.Text)
	}
	recent := []policy.RunFact{{Started: noon(t).Add(-3 * hour), Ended: noon(t).Add(-2 * hour), Outcome: policy.OutcomePromoted}}
	if d := p.Decide(r, policy.History{Runs: recent}, noon(t)); !slices.Equal(reasons(d), []policy.Reason{policy.ReasonCooldown}) {
		t.Errorf("blocked by %v", reasons(d))
	}
}

func TestForce(t *testing.T) {
	t.Parallel()
	p := compile(t, config(t), zone(t, "Europe/Berlin"))
	busy := policy.History{Info: "x", Force: &policy.Force{By: "ann", Reason: "new tokenizer"}}
	for range 5 {
		busy.Runs = append(busy.Runs, policy.RunFact{ID: "r", Started: noon(t).Add(-hour), Ended: noon(t).Add(-hour / 2), Outcome: policy.OutcomeRejected, Info: "x"})
	}
	for _, state := range []drift.State{drift.StateOK, drift.StateError, drift.StateAsleep, drift.StateInsufficient, drift.StateNoRelease} {
		r := healthy(t)
		r.State = state
		d := p.Decide(r, busy, noon(t))
		if !d.Start() || !d.Forced || d.Text != "retraining: forced by ann: new tokenizer"+map[bool]string{true: ", and 1 more condition"}[state == drift.StateNoRelease] {
			t.Errorf("%s: %s %v", state, d.Text, d.Blocked)
		}
	}
	busy.Active, busy.Held, busy.Paused = "r9", &policy.Hold{By: "bob"}, &policy.Hold{}
	if d := p.Decide(healthy(t), busy, noon(t)); !slices.Equal(reasons(d), []policy.Reason{policy.ReasonRunActive, policy.ReasonHeld}) {
		t.Errorf("blocked by %v", reasons(d))
	}
	busy.Active, busy.Held = "", nil
	if d := p.Decide(healthy(t), busy, noon(t)); !d.Start() {
		t.Errorf("a pause stops a person: %v", reasons(d))
	}
}

// A pause stops what would start by itself, one of the model as one of all, until it ends.
func TestPause(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.QuietHours = nil
	p := compile(t, c, zone(t, "Europe/Berlin"))
	bad := wrong(healthy(t), 80) // urgent
	now := noon(t)
	pause := &policy.Hold{By: "ann", Reason: "labelling week", Since: now.Add(-hour), Until: now.Add(2 * hour)}
	for name, h := range map[string]policy.History{"paused by ann until 14:00 CET: labelling week": {Paused: pause}, "every model is paused by ann until 14:00 CET: labelling week": {Stopped: pause}} {
		d := p.Decide(bad, h, now)
		if d.Verdict != policy.VerdictRetrain || d.Start() || d.Reason != policy.ReasonPaused || d.Blocked[0].Text != name || !d.Blocked[0].Until.Equal(pause.Until) {
			t.Errorf("%s: %s %+v", d.Reason, d.Text, d.Blocked)
		}
		if d := p.Decide(bad, h, pause.Until); !d.Start() {
			t.Errorf("after the pause: %s", d.Text)
		}
	}
}

// A run that did not get the GPU did nothing: what is waited for has that name.
func TestGPUHeld(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.QuietHours = nil
	p := compile(t, c, zone(t, "Europe/Berlin"))
	now := noon(t)
	h := policy.History{Info: "x", Runs: []policy.RunFact{{ID: "r7", Started: now.Add(-3 * hour), Ended: now.Add(-hour), Outcome: policy.OutcomeBlocked, Why: policy.ReasonGPUHeld, Text: "Xorg (pid 7) holds 3 GiB"}}}
	d := p.Decide(wrong(healthy(t), 30), h, now)
	if d.Reason != policy.ReasonGPUHeld || !d.Blocked[0].Until.Equal(now.Add(23*hour)) || d.Blocked[0].Text != "run r7 did not get the GPU: Xorg (pid 7) holds 3 GiB; it is tried again from Thu 2026-11-19 11:00 CET" {
		t.Errorf("%s: %+v", d.Reason, d.Blocked)
	}
	h.Runs[0].Why = ""
	if d := p.Decide(wrong(healthy(t), 30), h, now); d.Reason != policy.ReasonCooldown {
		t.Errorf("%s: %+v", d.Reason, d.Blocked)
	}
}

// A relabelling never causes the next one, and says so.
func TestSelfOrigin(t *testing.T) {
	t.Parallel()
	p := compile(t, config(t), zone(t, "Europe/Berlin"))
	r := healthy(t)
	r.Labels.Own = 500
	d := p.Decide(r, policy.History{}, noon(t))
	if want := "no retrain is needed: 540 of 2000 labels changed since the training, but 500 of them were written by retraind's own runs, which never count"; d.Verdict != policy.VerdictHold || d.Reason != policy.ReasonSelfOrigin || d.Text != want {
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
	if want := "labels are suspicious: author mallory made 90 of 90 relabels"; d.Verdict != policy.VerdictRetrain || d.Start() || d.Reason != policy.ReasonSuspiciousLabels || d.Blocked[0].Text != want || !strings.HasSuffix(d.Text, "and waits: "+want) {
		t.Errorf("%s %s: %s", d.Verdict, d.Reason, d.Text)
	}
	var b strings.Builder
	if err := d.Render(&b, policy.RenderOptions{}); err != nil || !strings.Contains(b.String(), "labels are suspicious") || !strings.Contains(b.String(), "retraind trigger") {
		t.Errorf("%v\n%s", err, b.String())
	}
	if d := p.Decide(r, policy.History{Force: &policy.Force{By: "anna"}}, noon(t)); !d.Start() {
		t.Errorf("a demanded retrain waits: %s", d.Text)
	}
	r.Suspicion.Suspicious = false
	if d := p.Decide(r, policy.History{}, noon(t)); !d.Start() {
		t.Errorf("labels that are not suspicious hold: %s", d.Text)
	}
	r.Suspicion.Suspicious = true
	c.Limits.SuspiciousLabels = policy.SuspiciousIgnore
	if d := compile(t, c, zone(t, "Europe/Berlin")).Decide(r, policy.History{}, noon(t)); !d.Start() {
		t.Errorf("ignored, and yet: %s", d.Text)
	}
	c.Limits.SuspiciousLabels = "maybe"
	if found := c.Validate(zone(t, "Europe/Berlin")); len(found) != 1 || !strings.Contains(found[0].Hint, "write hold or ignore") {
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
