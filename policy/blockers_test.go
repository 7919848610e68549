package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/quiethours"
)

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
		{"a run that continues in the next quiet hours does not count", policy.History{Runs: []policy.RunFact{
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
		{"a run that used up the budget of a night waits for the next one", policy.History{Runs: []policy.RunFact{
			{
				ID: "r3", Started: now.Add(-3 * hour), Ended: now.Add(-2 * hour), Outcome: policy.OutcomeBlocked,
				Why: policy.ReasonBudget,
			},
			run(3*day, policy.OutcomePromoted, "b"), run(4*day, policy.OutcomePromoted, "a"),
		}}, []policy.Reason{policy.ReasonBudget}, now.Add(10 * hour)},
		{"the night after", policy.History{Runs: []policy.RunFact{
			{
				ID: "r3", Started: now.Add(-14 * hour), Ended: now.Add(-13 * hour), Outcome: policy.OutcomeBlocked,
				Why: policy.ReasonBudget,
			},
			run(3*day, policy.OutcomePromoted, "b"), run(4*day, policy.OutcomePromoted, "a"),
		}}, nil, time.Time{}},
		{
			"a run that failed before it trained only causes a short pause",
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
		{"and no pause after that", policy.History{Info: "x", Runs: []policy.RunFact{
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
		{"runs that did not get the GPU use no budget", policy.History{Info: "x", Runs: []policy.RunFact{
			run(25*hour, policy.OutcomeBlocked, "x"), run(50*hour, policy.OutcomeBlocked, "x"),
			run(75*hour, policy.OutcomeBlocked, "x"),
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
		{
			"cancelled runs do not count",
			policy.History{Info: "x", Runs: []policy.RunFact{
				run(7*day, policy.OutcomeCancelled, "x"),
				run(8*day, policy.OutcomeFailed, "x"), run(9*day, policy.OutcomeFailed, "x"),
			}},
			nil,
			time.Time{},
		},
		{
			"nothing new",
			policy.History{Info: "x", Runs: []policy.RunFact{run(8*day, policy.OutcomeRejected, "x")}},
			[]policy.Reason{policy.ReasonNoNewInformation},
			time.Time{},
		},
		{
			"rolled back on the same labels and code",
			policy.History{
				Info: "x", Code: "c",
				Runs: []policy.RunFact{{
					ID: "r1", Started: noon(t).Add(-8 * day), Ended: noon(t).Add(-8 * day),
					Outcome: policy.OutcomeRolledBack, Info: "x", Code: "c",
				}},
			},
			[]policy.Reason{policy.ReasonNoNewInformation},
			time.Time{},
		},
		{
			"rolled back, with other code",
			policy.History{
				Info: "x", Code: "d",
				Runs: []policy.RunFact{{
					ID: "r1", Started: noon(t).Add(-8 * day), Ended: noon(t).Add(-8 * day),
					Outcome: policy.OutcomeRolledBack, Info: "x", Code: "c",
				}},
			},
			nil,
			time.Time{},
		},
		{
			"something new",
			policy.History{Info: "y", Runs: []policy.RunFact{run(8*day, policy.OutcomeRejected, "x")}},
			nil,
			time.Time{},
		},
		{"fits", policy.History{Needs: 6 * hour}, nil, time.Time{}},
		{
			"too short",
			policy.History{Needs: 6*hour + time.Second},
			[]policy.Reason{policy.ReasonWindowTooShort},
			time.Date(2026, 11, 19, 22, 0, 0, 0, loc),
		},
		{
			"waits for the weekend",
			policy.History{Needs: 20 * hour},
			[]policy.Reason{policy.ReasonWindowTooShort},
			time.Date(2026, 11, 20, 22, 0, 0, 0, loc),
		},
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
	if !d.WindowNext.Equal(opens) || len(d.Blocked) != 1 || d.Blocked[0].Reason != policy.ReasonWindowClosed ||
		!d.Blocked[0].Until.Equal(fits) {
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
	recent := []policy.RunFact{{
		Started: noon(t).Add(-3 * hour), Ended: noon(t).Add(-2 * hour),
		Outcome: policy.OutcomePromoted,
	}}
	if d := p.Decide(r, policy.History{Runs: recent}, noon(t)); !slices.Equal(reasons(d),
		[]policy.Reason{policy.ReasonCooldown}) {
		t.Errorf("blocked by %v", reasons(d))
	}
}

func TestForce(t *testing.T) {
	t.Parallel()
	p := compile(t, config(t), zone(t, "Europe/Berlin"))
	busy := policy.History{Info: "x", Force: &policy.Force{By: "ann", Reason: "new tokenizer"}}
	for range 5 {
		busy.Runs = append(busy.Runs,
			policy.RunFact{
				ID: "r", Started: noon(t).Add(-hour), Ended: noon(t).Add(-hour / 2), Outcome: policy.OutcomeRejected,
				Info: "x",
			})
	}
	for _, state := range []drift.State{
		drift.StateOK, drift.StateError, drift.StateAsleep, drift.StateInsufficient,
		drift.StateNoRelease,
	} {
		r := healthy(t)
		r.State = state
		d := p.Decide(r, busy, noon(t))
		if !d.Start() || !d.Forced ||
			d.Text != "retraining: forced by ann: new tokenizer"+
				map[bool]string{true: "; 1 more condition tripped"}[state == drift.StateNoRelease] {
			t.Errorf("%s: %s %v", state, d.Text, d.Blocked)
		}
	}
	busy.Active, busy.Held, busy.Paused = "r9", &policy.Hold{By: "bob"}, &policy.Hold{}
	if d := p.Decide(healthy(t), busy, noon(t)); !slices.Equal(reasons(d),
		[]policy.Reason{policy.ReasonRunActive, policy.ReasonHeld}) {
		t.Errorf("blocked by %v", reasons(d))
	}
	busy.Active, busy.Held = "", nil
	if d := p.Decide(healthy(t), busy, noon(t)); !d.Start() {
		t.Errorf("a pause blocks a requested run: %v", reasons(d))
	}
}

// A pause, of the model or of all models, blocks automatic runs until it ends.
func TestPause(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.QuietHours = nil
	p := compile(t, c, zone(t, "Europe/Berlin"))
	bad := wrong(healthy(t), 80) // urgent
	now := noon(t)
	pause := &policy.Hold{By: "ann", Reason: "labelling week", Since: now.Add(-hour), Until: now.Add(2 * hour)}
	for name, h := range map[string]policy.History{
		"paused by ann until 14:00 CET: labelling week":                {Paused: pause},
		"every model is paused by ann until 14:00 CET: labelling week": {Stopped: pause},
	} {
		d := p.Decide(bad, h, now)
		if d.Verdict != policy.VerdictRetrain || d.Start() || d.Reason != policy.ReasonPaused || d.Blocked[0].Text != name ||
			!d.Blocked[0].Until.Equal(pause.Until) {
			t.Errorf("%s: %s %+v", d.Reason, d.Text, d.Blocked)
		}
		if d := p.Decide(bad, h, pause.Until); !d.Start() {
			t.Errorf("after the pause: %s", d.Text)
		}
	}
}

// A run that did not get the GPU changed nothing; the pause until the next attempt has the reason gpu_held.
func TestGPUHeld(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.QuietHours = nil
	p := compile(t, c, zone(t, "Europe/Berlin"))
	now := noon(t)
	h := policy.History{
		Info: "x",
		Runs: []policy.RunFact{{
			ID: "r7", Started: now.Add(-3 * hour), Ended: now.Add(-hour), Outcome: policy.OutcomeBlocked,
			Why: policy.ReasonGPUHeld, Text: "Xorg (pid 7) holds 3 GiB",
		}},
	}
	d := p.Decide(wrong(healthy(t), 30), h, now)
	if d.Reason != policy.ReasonGPUHeld || !d.Blocked[0].Until.Equal(now.Add(23*hour)) ||
		d.Blocked[0].Text != "run r7 did not get the GPU: Xorg (pid 7) holds 3 GiB; next attempt at Thu 2026-11-19 11:00 CET" {
		t.Errorf("%s: %+v", d.Reason, d.Blocked)
	}
	h.Runs[0].Why = ""
	if d := p.Decide(wrong(healthy(t), 30), h, now); d.Reason != policy.ReasonCooldown {
		t.Errorf("%s: %+v", d.Reason, d.Blocked)
	}
}

// Quiet hours that are open for weeks have no nights: a step that used up its budget for one night continues half a day
// later, as without quiet hours.
func TestNightOfLongQuietHours(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.QuietHours = []quiethours.WindowConfig{{Except: []string{"2027-01-01"}}}
	ended := noon(t).Add(-hour)
	d := compile(t, c, time.UTC).Decide(wrong(healthy(t), 60), policy.History{Runs: []policy.RunFact{{
		ID: "r1", Started: ended.Add(-3 * hour), Ended: ended, Outcome: policy.OutcomeBlocked, Why: policy.ReasonBudget,
	}}}, noon(t))
	if len(d.Blocked) != 1 || !d.Blocked[0].Until.Equal(ended.Add(12*hour)) {
		t.Errorf("%+v", d.Blocked)
	}
}
