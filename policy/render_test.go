package policy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Each text of explain, as people see it.
func TestExplainTexts(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	now := noon(t)
	night := time.Date(2026, 11, 18, 23, 0, 0, 0, loc)
	spent := []policy.RunFact{{
		ID: "r3", Started: now.Add(-3 * hour), Ended: now.Add(-2 * hour),
		Outcome: policy.OutcomeRejected, Info: "x",
	}}
	state := func(s drift.State, detail string) drift.Report {
		r := healthy(t)
		r.State, r.Detail = s, detail
		return r
	}
	split := wrong(healthy(t), 20)
	split.Labels.New = map[string]int{"weather\x1b[31m": 25}
	split.Category[0].Recall, split.Category[0].Correct = 0.6, 60
	chance := healthy(t)
	chance.Drop, chance.Baseline = 4, &drift.Baseline{
		Accuracy: 0.94, MacroF1: 0.9, N: 300, Correct: 282,
		At: now.Add(-day),
	}
	few := state(drift.StateInsufficient, "")
	few.Scored = 87
	first := drift.Report{Model: "relevance", State: drift.StateNoRelease, Labels: drift.Labels{Items: 2000}}
	for name, c := range map[string]struct {
		report  drift.Report
		history policy.History
		now     time.Time
	}{
		"hold":           {healthy(t), policy.History{}, now},
		"waiting_window": {wrong(healthy(t), 20), policy.History{}, now},
		"waiting_limits": {
			split,
			policy.History{Info: "x", Runs: spent, Held: &policy.Hold{By: "ann", Reason: "demo day", Until: now.Add(3 * hour)}},
			now,
		},
		"waiting_too_short": {split, policy.History{Needs: 7 * hour}, night},
		"start":             {split, policy.History{Needs: 5 * hour}, night},
		"urgent":            {wrong(healthy(t), 80), policy.History{}, now},
		"forced": {
			healthy(t),
			policy.History{Force: &policy.Force{By: "ann", Reason: "new tokenizer"}, Runs: spent},
			now,
		},
		"inconclusive": {chance, policy.History{}, now},
		"insufficient": {few, policy.History{}, now},
		"asleep":       {state(drift.StateAsleep, ""), policy.History{}, now},
		"error":        {state(drift.StateError, "classify: 500 Internal Server Error"), policy.History{}, now},
		"first":        {first, policy.History{}, now},
	} {
		d := compile(t, config(t), loc).Decide(c.report, c.history, c.now)
		var out bytes.Buffer
		line := func(path string) (int, bool) { return 14, path == "retrain_when.accuracy_drop" }
		if err := d.Render(&out, policy.RenderOptions{Location: loc, Line: line}); err != nil {
			t.Fatal(err)
		}
		golden(t, "explain_"+name+".golden", out.Bytes())
	}
}

func TestDecisionJSON(t *testing.T) {
	t.Parallel()
	d := compile(t, config(t), zone(t, "Europe/Berlin")).Decide(wrong(healthy(t), 20), policy.History{}, noon(t))
	doc, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "decision.json", append(doc, '\n'))
	var back policy.Decision
	if err := json.Unmarshal(doc, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, back, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// A decision that is blocked because the champion does not serve has a row for it, even if the retrain is forced.
func TestForeignHasARow(t *testing.T) {
	t.Parallel()
	for name, force := range map[string]*policy.Force{"due": nil, "forced": {By: "ann"}} {
		r := wrong(healthy(t), 80)
		r.State, r.Detail = drift.StateForeign, "12 of 12 answers are not the champion's"
		d := compile(t, config(t), zone(t, "Europe/Berlin")).Decide(r, policy.History{Force: force}, noon(t))
		var out bytes.Buffer
		if err := d.Render(&out, policy.RenderOptions{}); err != nil {
			t.Fatal(err)
		}
		want := "  NO   champion serves  12 of 12 answers are not the champion's\n"
		if len(d.Blocked) > 0 && !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q is not in\n%s", name, want, out.String())
		}
		if force != nil && len(d.Blocked) == 0 {
			t.Errorf("%s: not blocked", name)
		}
		if strings.Contains(out.String(), "retraind trigger") {
			t.Errorf("%s: a forced retrain would be blocked too:\n%s", name, out.String())
		}
	}
}
