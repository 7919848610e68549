package drift_test

import (
	"testing"

	"github.com/retraind/retraind/drift"
)

func TestFalseTrips(t *testing.T) {
	t.Parallel()
	r := drift.Report{
		Scored: 200,
		Figures: drift.Figures{Correct: 176, Accuracy: .88, MacroF1: .88, Category: []drift.Category{
			{Name: "a", Support: 100, Predicted: 100, Correct: 88, Recall: .88},
			{Name: "b", Support: 100, Predicted: 100, Correct: 88, Recall: .88},
		}},
	}
	below := func(bound float64) func(drift.Report) bool {
		return func(r drift.Report) bool { return r.Accuracy < bound }
	}
	recall := func(r drift.Report) bool { return r.Category[0].Recall < .86 || r.Category[1].Recall < .86 }
	got := drift.FalseAlarms(r, 2, 50, []func(drift.Report) bool{below(.87), below(.86), below(.5), recall})
	if !(got[0] > got[1] && got[1] > got[2] && got[2] == 0 && got[3] > got[1]) {
		t.Errorf("a threshold that is further away must trip less often: %v", got)
	}
	again := drift.FalseAlarms(r, 2, 50, []func(drift.Report) bool{below(.87)})
	if again[0] != got[0] {
		t.Error("two calls return different results")
	}
	for _, none := range [][]float64{
		drift.FalseAlarms(r, 0, 50, nil),
		drift.FalseAlarms(drift.Report{}, 2, 50, []func(drift.Report) bool{below(1)}),
	} {
		for _, v := range none {
			if v != 0 {
				t.Errorf("without any item: %v", none)
			}
		}
	}
}

// With many labels a day fewer years are simulated, because each label takes time.
func TestFalseAlarmsOfManyLabels(t *testing.T) {
	t.Parallel()
	r := drift.Report{Scored: 1000, Figures: drift.Figures{Correct: 900, Accuracy: .9}}
	r.Category = []drift.Category{{Name: "a", Support: 1000, Predicted: 900, Correct: 900}}
	for perDay, years := range map[float64]int{100: 100, 2000: 10, 1000: 13} {
		days := 0
		count := func(drift.Report) bool { days++; return days%365 == 0 }
		if got := drift.FalseAlarms(r, perDay, 100, []func(drift.Report) bool{count}); days != 365*years || got[0] != 1 {
			t.Errorf("%.0f labels a day: %d days, %v a year", perDay, days, got)
		}
	}
}
