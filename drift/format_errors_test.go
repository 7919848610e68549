package drift_test

import (
	"slices"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
)

// An unusable answer counts as wrong and as no category: recall falls, the precision of the other categories does not.
func TestFormatErrors(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{}, []string{"a", "a", "a", "a", "b", "b", "b", "b"},
		[]string{"a", "a", "a", serving.FormatError, "b", "b", serving.FormatError, "a"})
	r := b.Report(noon)
	if r.Scored != 8 || r.Correct != 5 || r.FormatErrors != 2 || r.FormatErrorShare() != 0.25 || len(r.Category) != 2 {
		t.Fatalf("report %+v", r)
	}
	for i, want := range []drift.Category{
		{Name: "a", Support: 4, Predicted: 4, Correct: 3, Precision: .75, Recall: .75, F1: .75},
		{Name: "b", Support: 4, Predicted: 2, Correct: 2, Precision: 1, Recall: .5, F1: 2. / 3},
	} {
		if r.Category[i] != want {
			t.Errorf("category %+v, want %+v", r.Category[i], want)
		}
	}
	near(t, "macro-F1", r.MacroF1, (.75+2./3)/2, 1e-12)
	cells, _ := b.Confusion("label")
	if !slices.Contains(cells, drift.Confused{Label: "b", Answer: serving.FormatError, N: 1}) {
		t.Errorf("confusion %+v", cells)
	}

	b.relabel("3", "b", "person") // an item with an unusable answer gets another label
	if r = b.Report(noon); r.FormatErrors != 2 || r.Category[0].Support != 3 {
		t.Errorf("after a correction: %+v", r)
	}
	b.Delete("3", b.seq+1)
	b.Delete("6", b.seq+2)
	if r = b.Report(noon); r.FormatErrors != 0 || r.Scored != 6 {
		t.Errorf("after both are gone: %+v", r)
	}
}

func TestFormatErrorsOfSets(t *testing.T) {
	t.Parallel()
	target := serving.Target{Name: "label", Kind: serving.KindSet}
	b := setup(t, drift.Options{Targets: []serving.Target{target}}, []string{"[]", `["x"]`, `["x","y"]`},
		[]string{serving.FormatError, serving.FormatError, `["x","y"]`})
	r := b.Report(noon)
	if r.Correct != 1 || r.FormatErrors != 2 || len(r.Category) != 2 {
		t.Errorf("report %+v", r)
	}
}
