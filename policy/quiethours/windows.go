package quiethours

import (
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// Interval is a span of time that includes Start but not End. If End is zero, the interval never ends.
type Interval struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
}

// Length returns the real duration, which differs from the wall-clock difference if the clocks change in between. It is
// 0 if the interval never ends.
func (i Interval) Length() time.Duration {
	if i.End.IsZero() {
		return 0
	}
	return i.End.Sub(i.Start)
}

// Fits reports whether a run of duration d that begins at t ends no later than the interval.
func (i Interval) Fits(t time.Time, d time.Duration) bool {
	return i.End.IsZero() || !t.Add(d).After(i.End)
}

// Windows are compiled quiet hours. A window starts on a configured day, at the wall-clock time `from`, and ends at the
// wall-clock time `to`:
//
//   - a start or end that the clock skips in spring moves to the instant of the jump; a window completely within the
//     skipped hour starts at that instant and keeps its length;
//   - of a start or end that the clock shows twice in autumn, the first time counts, so that a window opens once a day;
//   - therefore 22:00-06:00 lasts seven real hours in one night of the year and nine in another;
//   - windows that overlap or touch are merged.
//
// Windows are immutable; an internal cache may be recomputed, with the same result.
type Windows struct {
	loc    *time.Location
	rules  []rule
	except []holiday // sorted, at most one for each date
	cache  atomic.Pointer[block]
}

// rule is one daily window.
type rule struct {
	days     Days
	from, to int // seconds since the midnight at which the day starts; from < to, and to may lie on the next day
}

// block caches the merged windows around a span of days.
type block struct {
	from, to time.Time // the list is exact for instants from `from` on and before `to`
	list     []Interval
}

const (
	blockDays = 32
	// horizon is the number of days before and after a block whose windows are computed too, because the opening at an
	// instant may begin earlier and end later.
	horizon = 16
	// searchDays is how far an opening, its start and its end are searched: five years.
	searchDays = 5*365 + 2
	week       = 7
)

// Always reports whether no quiet hours are configured, so that a run may start at any time.
func (w *Windows) Always() bool { return len(w.rules) == 0 }

// Location returns the time zone of the wall clock.
func (w *Windows) Location() *time.Location { return w.loc }

// Contains reports whether quiet hours are open at t.
func (w *Windows) Contains(t time.Time) bool {
	_, ok := w.Current(t)
	return ok
}

// Current returns the window that contains t, merged with adjoining windows up to five years away.
func (w *Windows) Current(t time.Time) (Interval, bool) {
	if w.Always() {
		return Interval{Start: t}, true
	}
	list := w.around(t).list
	i := after(list, t)
	if i > 0 && t.Before(list[i-1].End) {
		return list[i-1], true
	}
	return Interval{}, false
}

// Next lists the next n openings that start after t, or fewer if the next five years have fewer.
func (w *Windows) Next(t time.Time, n int) []Interval {
	if w.Always() || n <= 0 {
		return nil
	}
	var out []Interval
	today, first := dateAt(t, w.loc), 0
	// Find one more than requested: the last one may still be merged with the following one.
	for from := today - 2; from < today+searchDays && len(out) <= first+n; from += blockDays {
		out = merge(append(out, w.between(from, from+blockDays-1)...))
		first = after(out, t)
	}
	return out[first:min(first+n, len(out))]
}

// NextOpening returns the first opening that starts after t.
func (w *Windows) NextOpening(t time.Time) (Interval, bool) {
	if list := w.around(t).list; !w.Always() {
		if i := after(list, t); i < len(list) {
			return list[i], true
		}
	}
	if list := w.Next(t, 1); len(list) > 0 {
		return list[0], true
	}
	return Interval{}, false
}

// after returns the index of the first interval that starts after t.
func after(list []Interval, t time.Time) int {
	return sort.Search(len(list), func(i int) bool { return list[i].Start.After(t) })
}

// around returns the block that contains t.
func (w *Windows) around(t time.Time) *block {
	if b := w.cache.Load(); b != nil && !t.Before(b.from) && t.Before(b.to) {
		return b
	}
	first := date(floorDiv(int64(dateAt(t, w.loc)), blockDays) * blockDays)
	b := &block{from: first.instant(0, w.loc), to: (first + blockDays).instant(0, w.loc)}
	b.list = w.extend(merge(w.between(first-horizon, first+blockDays-1+horizon)), first-horizon, first+blockDays+horizon)
	w.cache.Store(b)
	return b
}

// extend merges the first and the last interval of a list with adjoining windows on the days before `first` and from
// `end` on.
func (w *Windows) extend(list []Interval, first, end date) []Interval {
	if len(list) == 0 {
		return nil
	}
	n := len(list) - 1
	for d := end; d < end+searchDays; d += week {
		more := merge(append(w.between(d, d+week-1), list[n]))
		grown := more[0].End.After(list[n].End)
		if list[n] = more[0]; len(more) > 1 || !grown {
			break
		}
	}
	for d := first; d > first-searchDays; d -= week {
		more := merge(append(w.between(d-week, d-1), list[0]))
		whole := more[len(more)-1]
		grown := whole.Start.Before(list[0].Start)
		if list[0] = whole; len(more) > 1 || !grown {
			break
		}
	}
	return list
}

// between lists the windows that start on the dates from first to last.
func (w *Windows) between(first, last date) []Interval {
	var list []Interval
	for d := first; d <= last; d++ {
		if _, closed := w.holiday(d); closed {
			continue
		}
		for _, r := range w.rules {
			if i, ok := r.on(d, w.loc); ok {
				list = append(list, i)
			}
		}
	}
	return list
}

// holiday returns the exception that prevents windows on a date, and whether there is one.
func (w *Windows) holiday(d date) (holiday, bool) {
	i, found := slices.BinarySearchFunc(w.except, d, func(h holiday, d date) int { return int(h.date - d) })
	if !found {
		return holiday{}, false
	}
	return w.except[i], true
}

func (r rule) on(d date, loc *time.Location) (Interval, bool) {
	if !r.days.Has(d.weekday()) {
		return Interval{}, false
	}
	i := Interval{Start: d.instant(r.from, loc), End: d.instant(r.to, loc)}
	if dateAt(i.Start, loc) != d && !d.exists(loc) {
		return Interval{}, false
	}
	if !i.Start.Before(i.End) {
		i.End = i.Start.Add(time.Duration(r.to-r.from) * time.Second)
	}
	return i, true
}

// merge sorts intervals and merges those that overlap or touch.
func merge(list []Interval) []Interval {
	slices.SortFunc(list, func(a, b Interval) int { return a.Start.Compare(b.Start) })
	out := list[:0]
	for _, i := range list {
		if n := len(out); n > 0 && !i.Start.After(out[n-1].End) {
			if i.End.After(out[n-1].End) {
				out[n-1].End = i.End
			}
			continue
		}
		out = append(out, i)
	}
	return out
}
