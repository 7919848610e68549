package quiethours

import "time"

// date is a calendar day, as the number of days since 1970-01-01.
type date int

func dateOf(y int, m time.Month, d int) date {
	return date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// dateAt returns the local date at an instant.
func dateAt(t time.Time, loc *time.Location) date {
	_, offset := t.In(loc).Zone()
	return date(floorDiv(t.Unix()+int64(offset), 86400))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (d date) weekday() time.Weekday { return time.Weekday((int(d)%7 + 7 + 4) % 7) }

func (d date) String() string { return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly) }

func parseDate(text string) (date, error) {
	t, err := time.Parse(time.DateOnly, text)
	return date(floorDiv(t.Unix(), 86400)), err
}

// instant returns when the local clock shows a time of day on a date. If the clock shows that time twice, the first
// instant is returned. If the clock skips it, the instant of the jump is returned.
func (d date) instant(second int, loc *time.Location) time.Time {
	wall := int64(d)*86400 + int64(second)
	const widest = 26 * 3600 // no zone is further from UTC
	missed := false          // an earlier offset ended before the instant computed with it
	for t := time.Unix(wall-widest, 0).In(loc); ; {
		_, offset := t.Zone()
		start, end := zoneBounds(t)
		at := time.Unix(wall-int64(offset), 0).In(loc)
		switch {
		case missed && at.Before(start):
			return start
		case end.IsZero() || at.Before(end):
			return at
		}
		missed, t = true, end
	}
}

// zoneBounds returns t.ZoneBounds and works around a bug of Go 1.26: in zones with a rule for future years, ZoneBounds
// returns an end that is not after t on the last day of a leap year. No clock changes on that day, and the call for the
// next day returns the correct end.
func zoneBounds(t time.Time) (start, end time.Time) {
	if start, end = t.ZoneBounds(); !end.IsZero() && !end.After(t) {
		_, end = t.Add(24 * time.Hour).ZoneBounds()
	}
	return start, end
}

// exists reports whether a zone has the date. A few dates were skipped in zones that moved across the date line.
func (d date) exists(loc *time.Location) bool {
	return d.instant(0, loc).Before((d + 1).instant(0, loc))
}
