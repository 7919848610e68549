package playback_test

import (
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/playback"
)

// newCase returns a policy test with the given series, whose runs are promoted after an hour.
func newCase(series map[string]string) playback.Case {
	var c playback.Case
	c.SetDefaults()
	c.Name, c.Start, c.Series = "a test", "2026-11-18 12:00", series
	return c
}

func startsOf(t *testing.T, p *policy.Policy, c playback.Case) []unit.Duration {
	t.Helper()
	c.Expect = []playback.Expectation{{Starts: &[]unit.Duration{}}}
	r := playback.RunCase(p, c)
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	return *r.Observed[0].Starts
}

// The series alarmed says that the test of new items has tripped, which makes a retrain due.
func TestCaseAlarm(t *testing.T) {
	t.Parallel()
	p := compile(t, always(t, 3), time.UTC)
	got := startsOf(t, p, newCase(map[string]string{"accuracy": "91%", "new_items": "0 200", "alarmed": "0 1 0"}))
	if len(got) != 1 || got[0].D() != hour {
		t.Errorf("runs start at %v", got)
	}
}

// A category that appears after a promotion is new, one that the promoted release was trained on is not.
func TestCaseNewCategories(t *testing.T) {
	t.Parallel()
	c := always(t, 3)
	c.RetrainWhen = policy.Conditions{NewCategory: &policy.NewCategory{Examples: 20}}
	got := startsOf(t, compile(t, c, time.UTC), newCase(map[string]string{"new.a": "0x2 25x20", "new.b": "0x10 25x12"}))
	if len(got) != 2 || got[0].D() != 2*hour || got[1].D() != 10*hour {
		t.Errorf("runs start at %v", got)
	}
}

// Values that no figure can have are refused: 91 is not 91%.
func TestCaseImpossibleValues(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"accuracy": "91%x2 84", "psi": "0.1x0", "macro_f1": "2%-1%x4", "recall.a": "0.9+0.1x3", "changed": "40-10x6",
		"scored": "500-300x3",
	} {
		f := playback.CaseFile{Policy: "p.yaml", Tests: []playback.Case{newCase(map[string]string{name: values})}}
		found := f.Validate()
		if len(found) != 1 || found[0].Path != "tests[0].series."+name || !strings.Contains(found[0].Hint, "write") {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
