package quiethours_test

import (
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/quiethours"
)

// arithmetic leaves a test out of the short run, which is that under the race detector: it is long, and nothing in it
// happens at the same time.
func arithmetic(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("arithmetic")
	}
}

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

const holidays = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Christmas and a very long\r\n  name\r\nDTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\nEND:VEVENT\r\n" +
	"BEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20261120T100000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func clock(t testing.TB, text string) *unit.Clock {
	t.Helper()
	var c unit.Clock
	if err := c.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return &c
}

func days(t testing.TB, text string) quiethours.Days {
	t.Helper()
	var d quiethours.Days
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

// night is the usual window.
func night(t testing.TB) []quiethours.WindowConfig {
	return []quiethours.WindowConfig{
		{Days: days(t, "mon-fri"), From: clock(t, "22:00"), To: clock(t, "06:00")},
		{Days: days(t, "sat,sun"), AllDay: true},
	}
}

// noon is a Wednesday, outside the quiet hours.
func noon(t testing.TB) time.Time {
	return time.Date(2026, 11, 18, 12, 0, 0, 0, zone(t, "Europe/Berlin"))
}
