package status

import (
	"fmt"
	"time"

	"github.com/retraind/retraind/internal/text"
)

// interval formats the bounds of a fraction: "85.0 to 88.9%".
func interval(low, high float64) string {
	return fmt.Sprintf("%.1f to %.1f%%", 100*low, 100*high)
}

// timeView is an instant for the page.
type timeView struct {
	Text    string // relative: "4 min ago", "in 3 h"; empty for the zero time
	Full    string // "Sun 22 Nov 2026 19:05:12 CET"
	Machine string // RFC 3339
}

func newTime(now, t time.Time) timeView {
	if t.IsZero() {
		return timeView{}
	}
	t = t.In(now.Location())
	v := timeView{Full: t.Format("Mon 2 Jan 2006 15:04:05 MST"), Machine: t.Format(time.RFC3339)}
	switch ago := now.Sub(t); {
	case ago.Abs() < time.Second:
		v.Text = "now"
	case ago < 0:
		v.Text = "in " + text.Distance(ago)
	default:
		v.Text = text.Distance(ago) + " ago"
	}
	return v
}

// clock formats an instant without reference to now: "Sun 22 Nov, 19:05 CET".
func clock(now, t time.Time) timeView {
	v := newTime(now, t)
	if v.Text != "" {
		v.Text = t.In(now.Location()).Format("Mon 2 Jan, 15:04 MST")
	}
	return v
}
