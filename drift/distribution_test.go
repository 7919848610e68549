package drift_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
)

func TestDecompose(t *testing.T) {
	t.Parallel()
	// Before: 90 items of the easy category, all right, and 10 of the hard one, half of them right. Now half of the
	// items are of each category, with the same recalls.
	base := &drift.Baseline{
		N: 100, Correct: 95, Accuracy: .95,
		Category: map[string]stats.Stretch{"easy": {N: 90}, "hard": {N: 10, Errs: 5}},
	}
	now := drift.Report{
		Scored: 100,
		Figures: drift.Figures{
			Correct:  75,
			Category: []drift.Category{{Name: "easy", Support: 50, Correct: 50}, {Name: "hard", Support: 50, Correct: 25}},
		},
	}
	d := drift.Decompose(base, now)
	if math.Abs(d.Drop-20) > 1e-9 || math.Abs(d.Mix-20) > 1e-9 || d.Recall != 0 || d.New != 0 ||
		d.Category[0].Name != "hard" {
		t.Errorf("another mix: %+v", d)
	}
	now = drift.Report{
		Scored: 100,
		Figures: drift.Figures{
			Correct:  90,
			Category: []drift.Category{{Name: "easy", Support: 90, Correct: 90}, {Name: "hard", Support: 10}},
		},
	}
	if d := drift.Decompose(base, now); math.Abs(d.Recall-5) > 1e-9 || d.Mix != 0 {
		t.Errorf("another recall: %+v", d)
	}
	now = drift.Report{
		Scored: 100,
		Figures: drift.Figures{
			Correct: 75,
			Category: []drift.Category{
				{Name: "easy", Support: 70, Correct: 70},
				{Name: "hard", Support: 10, Correct: 5},
				{Name: "new", Support: 20},
			},
		},
	}
	if d := drift.Decompose(base, now); math.Abs(d.New-19) > 1e-9 || math.Abs(d.Drop-20) > 1e-9 ||
		d.Category[0].Name != "new" {
		t.Errorf("a new category: %+v", d)
	}
	for _, none := range []*drift.Decomposition{
		drift.Decompose(nil, now), drift.Decompose(&drift.Baseline{}, now),
		drift.Decompose(base, drift.Report{}), drift.Decompose(&drift.Baseline{N: 100, Correct: 95}, now),
	} {
		if none != nil {
			t.Errorf("without any item: %+v", none)
		}
	}
	// For any items and labels the parts add up to the whole.
	rapid.Check(t, func(t *rapid.T) {
		base := &drift.Baseline{Category: map[string]stats.Stretch{}}
		now := drift.Report{}
		for i := range rapid.IntRange(1, 6).Draw(t, "categories") {
			name := fmt.Sprint(i)
			if n := rapid.IntRange(0, 50).Draw(t, "then"); n > 0 {
				wrong := rapid.IntRange(0, n).Draw(t, "wrong then")
				base.Category[name] = stats.Stretch{N: n, Errs: wrong}
				base.N, base.Correct = base.N+n, base.Correct+n-wrong
			}
			if n := rapid.IntRange(0, 50).Draw(t, "now"); n > 0 {
				right := rapid.IntRange(0, n).Draw(t, "right now")
				now.Category = append(now.Category, drift.Category{Name: name, Support: n, Correct: right})
				now.Scored, now.Correct = now.Scored+n, now.Correct+right
			}
		}
		d := drift.Decompose(base, now)
		if base.N == 0 || now.Scored == 0 {
			if d != nil {
				t.Fatal("without any item")
			}
			return
		}
		want := 100 * (float64(base.Correct)/float64(base.N) - float64(now.Correct)/float64(now.Scored))
		if math.Abs(d.Drop-want) > 1e-9 || math.Abs(d.Mix+d.Recall+d.New-d.Drop) > 1e-9 {
			t.Fatalf("%+v, the drop is %v", d, want)
		}
	})
}
