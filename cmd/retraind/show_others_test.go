package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

func TestThresholdsSayHowOftenEachTrips(t *testing.T) {
	t.Parallel()
	share, age := unit.Percent(.1), policy.MaxAge{Age: unit.Duration(90 * 24 * time.Hour)}
	when := policy.Conditions{
		AccuracyDrop: &policy.AccuracyDrop{Points: 3},
		LabelChanges: &policy.LabelChanges{Share: &share, AtLeast: 50}, NewCategory: &policy.NewCategory{Examples: 20},
		LabelShift: &policy.LabelShift{PSI: .2}, MaxAge: &age, When: &policy.When{Expression: "drop > 0.02"},
	}
	var r drift.Report
	r.Scored, r.HeldOut, r.Correct = 300, 300, 270
	r.Labels = drift.Labels{Items: 2000, Changed: 40, New: map[string]int{"x": 3}}
	r.Category = []drift.Category{{Name: "a", Support: 200, Correct: 180}, {Name: "b", Support: 100, Correct: 90}}
	want := [][]string{
		{"accuracy_drop", "3pt", "no rate is promised"},
		{"label_changes", "10% and 50 items", "about 36.5, because 20.0 labels arrive per day"},
		{"new_category", "20 examples", "none: chance does not create categories"},
		{"label_shift", "PSI 0.2", "less than 0.1"},
		{"max_age", "90d", "about 4.1, by schedule"},
		{"when", "drop > 0.02", "not computed for expressions: see retraind backtest"},
	}
	if diff := cmp.Diff(want, thresholds(policy.Config{RetrainWhen: when}, r, 3)); diff != "" {
		t.Error(diff)
	}

	r.Labels.Changed, r.Labels.PSI, r.Labels.New["x"] = 200, .3, 20
	for _, row := range thresholds(policy.Config{UrgentWhen: when}, r, 3)[1:4] {
		if row[2] != "it trips now" {
			t.Error(row)
		}
	}
	when.LabelShift.PSI, r.Labels.PSI, r.Labels.Changed, r.HeldOut = .01, .001, 0, 1900
	if rows := thresholds(policy.Config{RetrainWhen: when}, r, 0); rows[1][2] != "none: no labels arrive" ||
		rows[3][2] != "at most 175.0 by chance" {
		t.Error(rows[1], rows[3])
	}
}
