package main

import (
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

func TestLimitsText(t *testing.T) {
	t.Parallel()
	week := unit.Rate{Count: 3, Per: unit.Duration(7 * 24 * time.Hour)}
	for want, l := range map[string]policy.Limits{
		"at most 3 per 7d, at least 1h apart": {Budget: week, Cooldown: unit.Duration(time.Hour)},
		"at most 3 per 7d":                    {Budget: week},
		"at least 1h apart":                   {Cooldown: unit.Duration(time.Hour)},
		"none":                                {},
	} {
		if got := limitsText(l); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
