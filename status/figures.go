package status

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// percent prints a fraction as people read it: "87.1 %". A value that is no number is shown as such.
func percent(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "not a number"
	}
	return strconv.FormatFloat(100*f, 'f', 1, 64) + " %"
}

// interval prints the bounds of a fraction: "85.0 to 88.9".
func interval(low, high float64) string {
	return fmt.Sprintf("%.1f to %.1f %%", 100*low, 100*high)
}

// count groups thousands: "14,195".
func count(n int) string {
	digits := strconv.Itoa(max(n, -n))
	var b strings.Builder
	if n < 0 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// plural prints a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// rough prints a time span with at most two units: "340 ms", "4.2 s", "4 min 10 s", "4 h 12 min", "9 d".
func rough(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return two(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 48*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	default:
		return strconv.Itoa(int(d.Hours())/24) + " d"
	}
}

func two(large int, largeUnit string, small int, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, largeUnit)
	}
	return fmt.Sprintf("%d %s %d %s", large, largeUnit, small, smallUnit)
}

// coarse is rough with one unit, for how long ago something was.
func coarse(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	default:
		return strconv.Itoa(int(d.Hours())/24) + " d"
	}
}

// digest shortens a digest to what people compare: its first twelve digits, without the algorithm.
func digest(d string) string {
	if _, hex, ok := strings.Cut(d, ":"); ok {
		d = hex
	}
	return d[:min(12, len(d))]
}

// timeView is an instant for the page.
type timeView struct {
	Text    string // near: "4 min ago", "in 3 h"; empty for the zero time
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
		v.Text = "in " + coarse(ago)
	default:
		v.Text = coarse(ago) + " ago"
	}
	return v
}

// clock is an instant without reference to now: "Sun 22 Nov, 19:05 CET".
func clock(now, t time.Time) timeView {
	v := newTime(now, t)
	if v.Text != "" {
		v.Text = t.In(now.Location()).Format("Mon 2 Jan, 15:04 MST")
	}
	return v
}
