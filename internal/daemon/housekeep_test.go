package daemon

import (
	"testing"
	"time"
)

// If the clock is set back by years, the next audit is in the coming night.
func TestAuditAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	next, due := nightly(night(now.AddDate(4, 0, 0)), now)
	if want := night(now); due || !next.Equal(want) {
		t.Errorf("due: %t, next at %s, want %s", due, next, want)
	}
	if next, due = nightly(night(now), now.AddDate(0, 0, 1)); !due || !next.After(now.AddDate(0, 0, 1)) {
		t.Errorf("the next day due: %t, next at %s", due, next)
	}
}

func TestNight(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{
		"2026-11-22 02:59": "2026-11-22 03:00",
		"2026-11-22 03:00": "2026-11-23 03:00",
		"2026-11-30 12:00": "2026-12-01 03:00",
		"2026-03-28 12:00": "2026-03-29 03:00", // the night without 02:30
		"2026-10-24 23:00": "2026-10-25 03:00", // the night with 02:30 twice
	} {
		now, err := time.ParseInLocation("2006-01-02 15:04", from, berlin)
		if err != nil {
			t.Fatal(err)
		}
		if got := night(now).Format("2006-01-02 15:04"); got != want {
			t.Errorf("after %s: %s, want %s", from, got, want)
		}
	}
}
