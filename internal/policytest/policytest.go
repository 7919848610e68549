// Package policytest provides policies, reports and times for the tests of package policy and of its sub-packages.
//
// Tests derive their own values from one healthy Report and one Config. Each call returns new values, which the caller
// may change. The package never decides anything, and is never linked into the program.
package policytest

import (
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/quiethours"
)

// Arithmetic skips a test that is long and single-threaded, in short runs such as those under the race detector.
func Arithmetic(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("arithmetic")
	}
}

// Durations.
const (
	Hour = time.Hour
	Day  = 24 * time.Hour
)

// Zones are time zones whose clocks change in different ways, or never.
var Zones = []string{
	"UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Havana", "Asia/Kathmandu",
	"Australia/Lord_Howe", "Pacific/Apia",
}

// Zone loads a time zone.
func Zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// Percent returns a pointer to a share.
func Percent(f float64) *unit.Percent { p := unit.Percent(f); return &p }

// Below returns the condition that the accuracy is below a share.
func Below(f float64) *policy.AccuracyBelow { return &policy.AccuracyBelow{Share: unit.Percent(f)} }

// Clock parses a time of day.
func Clock(t testing.TB, text string) *unit.Clock {
	t.Helper()
	var c unit.Clock
	if err := c.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return &c
}

// Days parses days of the week.
func Days(t testing.TB, text string) quiethours.Days {
	t.Helper()
	var d quiethours.Days
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

// Night returns the usual quiet hours of the tests: nights from Monday to Friday, and weekends.
func Night(t testing.TB) []quiethours.WindowConfig {
	return []quiethours.WindowConfig{
		{Days: Days(t, "mon-fri"), From: Clock(t, "22:00"), To: Clock(t, "06:00")},
		{Days: Days(t, "sat,sun"), AllDay: true},
	}
}

// Config returns a policy with every condition of the example configuration.
func Config(t testing.TB) policy.Config {
	c := policy.Defaults()
	maxAge := policy.MaxAge{Age: unit.Duration(90 * Day)}
	c.RetrainWhen = policy.Conditions{
		AccuracyBelow: Below(0.85),
		AccuracyDrop: &policy.AccuracyDrop{
			Points:        3,
			FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * Day)}, Test: policy.TestECUSUM,
		},
		MacroF1Drop:         &policy.MacroF1Drop{Points: 5},
		CategoryRecallBelow: &policy.CategoryRecall{All: Percent(0.7), MinItems: 30},
		LabelChanges:        &policy.LabelChanges{Share: Percent(0.1), AtLeast: 50},
		NewCategory:         &policy.NewCategory{Examples: 20},
		LabelShift:          &policy.LabelShift{PSI: 0.2},
		MaxAge:              &maxAge,
	}
	c.UrgentWhen.AccuracyBelow = Below(0.7)
	c.QuietHours = Night(t)
	return c
}

// Compile compiles a policy.
func Compile(t testing.TB, c policy.Config, loc *time.Location) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(c, loc, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Noon returns a time on a Wednesday, outside the quiet hours.
func Noon(t testing.TB) time.Time {
	return time.Date(2026, 11, 18, 12, 0, 0, 0, Zone(t, "Europe/Berlin"))
}

// Healthy returns a report in which no condition trips.
func Healthy(t testing.TB) drift.Report {
	at := Noon(t)
	return drift.Report{
		Model: "relevance", At: at, Release: "sha256:abc", Target: "relevant", State: drift.StateOK, Seq: 4711,
		HeldOut: 300, Scored: 300,
		Figures: drift.Figures{
			Correct: 270, Accuracy: 0.9, Low: 0.86, High: 0.93, Majority: 0.4, MacroF1: 0.88, Drop: 1, MacroF1Drop: 1,
			Category: []drift.Category{
				{Name: "sport", Support: 100, Predicted: 100, Correct: 90, Precision: 0.9, Recall: 0.9, F1: 0.9},
				{Name: "politics", Support: 120, Predicted: 120, Correct: 102, Precision: 0.9, Recall: 0.85, F1: 0.9},
				{Name: "science", Support: 12, Predicted: 12, Correct: 12, Precision: 1, Recall: 1, F1: 1},
			},
		},
		Baseline: &drift.Baseline{Accuracy: 0.91, MacroF1: 0.89, N: 300, Correct: 273, At: at.Add(-10 * Day)},
		Relabels: drift.Relabels{P: 1},
		Labels:   drift.Labels{Items: 2000, Changed: 40, Share: 0.02, PSI: 0.01},
	}
}

// Wrong returns the report after n corrections of labels, each of which makes a right answer wrong.
func Wrong(r drift.Report, n int) drift.Report {
	r.Correct -= n
	r.Accuracy = float64(r.Correct) / float64(r.Scored)
	r.Drop = (r.Baseline.Accuracy - r.Accuracy) * 100
	r.Relabels.RightToWrong += n
	r.Relabels.P = stats.SignTest(r.Relabels.RightToWrong, r.Relabels.WrongToRight)
	r.Relabels.Authors = 2
	return r
}
