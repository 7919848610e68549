package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

func TestCategoryRecallDrop(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.RetrainWhen = policy.Conditions{CategoryRecallDrop: &policy.CategoryRecallDrop{
		Points:        10,
		FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * day)}, MinItems: 30,
	}}
	c.UrgentWhen = policy.Conditions{}
	p := compile(t, c, zone(t, "Europe/Berlin"))
	type row struct {
		State policy.State
		Value float64
		Text  string
	}
	quiet := drift.NewInCategory{Name: "culture", N: 30, Errors: 3, Recall: .9, E: 1.2, Bound: 3600}
	with := func(change func(*drift.NewInCategory)) []drift.NewInCategory {
		sport := drift.NewInCategory{Name: "sport", N: 40, Errors: 20, Recall: .9, E: 30, Bound: 3600, Estimate: 45, Drop: 40}
		change(&sport)
		return []drift.NewInCategory{quiet, sport}
	}
	for name, tc := range map[string]struct {
		streams []drift.NewInCategory
		want    row
	}{
		"none": {nil, row{policy.StateInconclusive, 0, "no category had enough held-out items at the promotion"}},
		"no arrival": {
			[]drift.NewInCategory{{Name: "sport", Recall: .9, Bound: 3600}},
			row{policy.StatePass, 0, "no new item of a tested category has arrived since the promotion"},
		},
		// One missed item is a fall by 90 points: without evidence it is not a usable value.
		"chance": {
			with(func(*drift.NewInCategory) {}),
			row{policy.StatePass, 0, `no category's recall fell among new items; closest to a fall is sport: 20 of 40 items were missed`},
		},
		"suspected": {
			with(func(c *drift.NewInCategory) { c.E = 61 }),
			row{
				policy.StateInconclusive, 45,
				`recall of sport may have fallen by 45 points among new items, but this may be chance: 20 of 40 items were missed`,
			},
		},
		"alarm": {
			with(func(c *drift.NewInCategory) { c.E, c.Alarmed = 4000, true }),
			row{policy.StateFail, 40, `recall of sport fell by at least 40 points among new items, threshold 10 points: 20 of 40 items were missed`},
		},
		"not sure": {
			with(func(c *drift.NewInCategory) { c.E, c.Alarmed, c.Drop = 4000, true, 9.9 }),
			row{
				policy.StateInconclusive, 45,
				`recall of sport may have fallen by 45 points among new items, but this may be chance: 20 of 40 items were missed`,
			},
		},
		"fell less": {
			with(func(c *drift.NewInCategory) { c.E, c.Alarmed, c.Estimate, c.Drop = 4000, true, 9.9, 5 }),
			row{policy.StatePass, 9.9, `no category's recall fell among new items; closest to a fall is sport: 20 of 40 items were missed`},
		},
	} {
		r := healthy(t)
		r.NewItems.Category = tc.streams
		d := p.Decide(r, policy.History{}, noon(t))
		got := d.Conditions[0]
		if diff := cmp.Diff(tc.want, row{got.State, got.Value, got.Text}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.Tripped != (name == "alarm") || (d.Verdict == policy.VerdictRetrain) != got.Tripped {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
