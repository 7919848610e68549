package policy_test

import (
	"testing"
	"time"

	"github.com/retraind/retraind/policy"
)

func TestLeaves(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.QuietHours = night(t)
	cfg.Limits.Reserve = 600e9
	berlin := zone(t, "Europe/Berlin")
	p := compile(t, cfg, berlin)
	cfg.QuietHours = nil
	always := compile(t, cfg, berlin)
	at := func(hour int) time.Time { return time.Date(2026, 11, 24, hour, 0, 0, 0, berlin) } // a Tuesday
	for _, c := range []struct {
		name string
		p    *policy.Policy
		d    policy.Decision
		want time.Time
	}{
		{"at the end, less the reserve", p, policy.Decision{At: at(23)}, at(29).Add(50 * time.Minute)},
		{"after midnight", p, policy.Decision{At: at(1)}, at(5).Add(50 * time.Minute)},
		{"forced", p, policy.Decision{At: at(23), Forced: true}, time.Time{}},
		{"urgent", p, policy.Decision{At: at(23), Urgent: true}, time.Time{}},
		{"outside", p, policy.Decision{At: at(12)}, time.Time{}},
		{"without quiet hours", always, policy.Decision{At: at(23)}, time.Time{}},
	} {
		if got := c.p.Leaves(&c.d); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
