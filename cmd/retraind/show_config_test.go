package main

import (
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
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

// A summary shows no password.
func TestShownURLsHidePasswords(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		broker(notify.Config{URL: "nats://bob:geheim@a:4222, nats://geheim@b:4222"}): "the server at nats://bob:xxxxx@a:4222, nats://xxxxx@b:4222",
		asked(serving.Config{Classify: "http://bob:geheim@host/classify"}):           "http://bob:xxxxx@host/classify",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
