package quiethours

import (
	"slices"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// Opening is one continuous period of quiet hours, for display.
type Opening struct {
	Interval
	// Wall is its length by the wall clock; Length returns its real length, which differs if the clocks change.
	Wall time.Duration `json:"-"`
	// Notes describe clock changes within it.
	Notes []string `json:"notes,omitempty"`
}

// Closing is a day on which an exception prevents a window from starting.
type Closing struct {
	Date   string   `json:"date"`
	Name   string   `json:"name,omitempty"` // of the holiday, if the calendar has one
	Window Interval `json:"window"`
}

// part is the window that one rule gives on one date.
type part struct {
	Interval
	rule rule
	date date
}

// parts lists the windows that start on the dates from first to last. If closed is true, it lists only windows that
// exceptions prevent, otherwise only those that no exception prevents.
func (w *Windows) parts(first, last date, closed bool) []part {
	var list []part
	for d := first; d <= last; d++ {
		if _, is := w.holiday(d); is != closed {
			continue
		}
		for _, r := range w.rules {
			if i, ok := r.on(d, w.loc); ok {
				list = append(list, part{i, r, d})
			}
		}
	}
	slices.SortFunc(list, func(a, b part) int { return a.Start.Compare(b.Start) })
	return list
}

// Openings returns the opening that contains t, if any, and those that follow: n in all, or fewer if the next five
// years have fewer. It returns none if no quiet hours are configured.
func (w *Windows) Openings(t time.Time, n int) []Opening {
	if w.Always() || n <= 0 {
		return nil
	}
	var out []Opening
	if current, ok := w.Current(t); ok {
		out = append(out, w.opening(current))
	}
	for _, i := range w.Next(t, n-len(out)) {
		out = append(out, w.opening(i))
	}
	return out
}

// opening returns an interval with its length by the wall clock, and with notes about clock changes in it.
func (w *Windows) opening(i Interval) Opening {
	o := Opening{Interval: i}
	var from, to int64 // as configured, in wall-clock seconds
	first := true
	for _, p := range w.parts(dateAt(i.Start, w.loc)-1, dateAt(i.End, w.loc)+1, false) {
		if p.Start.Before(i.Start) || !p.Start.Before(i.End) {
			continue
		}
		opens, closes := int64(p.date)*86400+int64(p.rule.from), int64(p.date)*86400+int64(p.rule.to)
		if first || opens < from {
			from = opens
		}
		if first || closes > to {
			to = closes
		}
		first = false
		// A start or end within another window is not the start or end of the opening.
		if p.Start.Equal(i.Start) {
			o.note(edge("opens", p.Start, opens, p.rule.from, w.loc))
		}
		if p.End.Equal(i.End) {
			o.note(edge("closes", p.End, closes, p.rule.to, w.loc))
		}
	}
	o.Wall = time.Duration(to-from) * time.Second
	for t := i.Start.In(w.loc); ; {
		_, end := zoneBounds(t)
		if end.IsZero() || !end.Before(i.End) {
			break
		}
		o.note(jump(end, i.Start, w.loc))
		t = end
	}
	if n := len(o.Notes); n > 0 && o.Wall != o.Length() {
		o.Notes[n-1] += "; it lasts " + text.Span(o.Length()) + " instead of " + text.Span(o.Wall)
	}
	return o
}

func (o *Opening) note(text string) {
	if text != "" && !slices.Contains(o.Notes, text) {
		o.Notes = append(o.Notes, text)
	}
}

// wall returns the wall-clock reading in a zone, in seconds since 1970-01-01 00:00 of that clock.
func wall(t time.Time, loc *time.Location) int64 {
	_, offset := t.In(loc).Zone()
	return t.Unix() + int64(offset)
}

// edge describes a start or end of a window that the clock skips or shows twice.
func edge(verb string, at time.Time, wanted int64, second int, loc *time.Location) string {
	text := unit.Clock(second % 86400).String()
	if wall(at, loc) != wanted {
		return text + " does not exist that day; the window " + verb + " at " + at.In(loc).Format("15:04 MST")
	}
	_, end := zoneBounds(at.In(loc))
	if !end.IsZero() && wall(end, loc) <= wanted && wanted < wall(end.Add(-1), loc) {
		return text + " occurs twice that day; the window " + verb + " the first time, at " + at.In(loc).Format("15:04 MST")
	}
	return ""
}

// jump describes a clock change within an opening. The text includes the date if the opening starts on another day.
func jump(at, opens time.Time, loc *time.Location) string {
	before, after := at.Add(-time.Second).In(loc), at.In(loc)
	name, was := before.Zone()
	_, is := after.Zone()
	if was == is { // only the zone's name changes
		return ""
	}
	direction := "back"
	if is > was {
		direction = "forward"
	}
	return "the clocks go " + direction + " by " + text.Span(time.Duration(max(is-was, was-is))*time.Second) + " at " +
		text.Clock(at, opens, time.FixedZone(name, was))
}

// Closings lists the windows between two instants that exceptions prevent.
func (w *Windows) Closings(from, to time.Time) []Closing {
	var out []Closing
	for _, p := range w.parts(dateAt(from, w.loc), dateAt(to, w.loc), true) {
		if p.Start.Before(from) || !p.Start.Before(to) {
			continue
		}
		h, _ := w.holiday(p.date)
		out = append(out, Closing{Date: p.date.String(), Name: h.name, Window: p.Interval})
	}
	return out
}

// ClosedDates lists the dates of all exceptions, as days since 1970-01-01.
func (w *Windows) ClosedDates() []int {
	var days []int
	for _, h := range w.except {
		days = append(days, int(h.date))
	}
	return days
}
