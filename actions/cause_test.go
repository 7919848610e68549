package actions

import (
	"strings"
	"testing"
)

// A candidate that worsens what the retrain should fix is refused.
func TestJudgeCause(t *testing.T) {
	t.Parallel()
	categories := []Category{
		{Name: "sport", Support: 40, Champion: .6, Candidate: .55},
		{Name: "geld", Support: 40, Champion: .6, Candidate: .7},
	}
	facts := GateFacts{Candidate: Score{MacroF1: .7}, Champion: &Score{MacroF1: .71}}
	for _, c := range []struct {
		cause Cause
		want  string
	}{
		{Cause{}, ""},
		{Cause{Categories: []string{"geld"}}, ""},
		{Cause{Categories: []string{"geld", "sport"}}, `category "sport", but would lower it from 60% to 55% on 40 items`},
		{Cause{MacroF1: true}, "macro-F1, but would lower it from 71.0 to 70.0"},
	} {
		if got := judgeCause(c.cause, categories, facts); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c.cause, got)
		}
	}
}
