package main

import (
	"time"

	"github.com/retraind/retraind/internal/text"
)

// clock formats an instant in the zone of now, with the date if it is not today.
func clock(t, now time.Time) string {
	return text.Clock(t.Truncate(time.Minute), now, now.Location())
}

// ago formats how long ago something was.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return text.Distance(max(now.Sub(t), 0)) + " ago"
}
