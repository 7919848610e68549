package sources

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch/postgres"
)

func TestLookAlikes(t *testing.T) {
	t.Parallel()
	counts := postgres.LabelCounts{"label": {
		"Kita": 340, "Kita ": 12, "kita": 1, "M\u00fcll": 5, "Mu\u0308ll": 2,
		"Sport": 9,
	}}
	for rules, want := range map[string]string{
		"":                    `"Kita" (340), "Kita " (12), "kita" (1); "Müll" (5), "Mu\u0308ll" (2)`,
		"blanks":              `"Kita" (352), "kita" (1); "Müll" (5), "Mu\u0308ll" (2)`,
		"unicode,blanks":      `"Kita" (352), "kita" (1)`,
		"unicode,blanks,case": "",
	} {
		var found check.Problems
		findLookAlikes(&found, counts, serving.Normalize(rules))
		switch {
		case want == "" && len(found) == 0:
		case len(found) != 1 || !found[0].Warning || !strings.HasSuffix(found[0].Message, ": "+want):
			t.Errorf("%s: %v", rules, found)
		}
	}
}
