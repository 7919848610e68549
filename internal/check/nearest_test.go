package check_test

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/check"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	keys := []string{"accuracy_below", "accuracy_drop", "macro_f1_drop", "when", "every"}
	for name, want := range map[string]string{
		"acuracy_below":                     "accuracy_below",
		"Accuracy-Below":                    "accuracy_below",
		"accuracydrop":                      "accuracy_drop",
		"evrey":                             "every",
		"whne":                              "when",
		"zebra":                             "",
		"macro_f1":                          "macro_f1_drop",
		strings.Repeat("accuracy_below", 9): "",
	} {
		if got := check.Nearest(name, keys); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
