package quiethours

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
)

// oneDay is always 24 hours, because calendar times are kept as wall-clock readings, independent of zones.
const oneDay = 24 * time.Hour

// holiday is a day on which no window starts, with the reason.
type holiday struct {
	date date
	name string
}

// event is one VEVENT of a calendar. Its times are wall-clock readings in the configured zone, kept as UTC so that
// a day has 24 hours.
type event struct {
	line       int // number of its last line
	uid, name  string
	start, end time.Time
	rule       string
	also, not  []time.Time // RDATE, EXDATE
	replaces   time.Time   // RECURRENCE-ID: the date of the series that this event replaces
	cancelled  bool
	duration   time.Duration
}

// parseICS returns the days that a calendar's events cover, in the order of the file. An all-day event covers its days.
// An event with times covers only the days that it fills from midnight to midnight; most such events cover none.
// Repeating events are expanded to the end of 2099; moved, added and cancelled dates are taken into account.
func parseICS(data []byte, loc *time.Location) ([]holiday, error) {
	if len(data) > 4<<20 {
		return nil, fmt.Errorf("%d bytes are too many for a calendar of holidays", len(data))
	}
	events, err := readEvents(data, loc)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("the file has no event; is it an iCalendar file?")
	}
	moved := map[string][]time.Time{} // by UID of a series: its dates that other events replace
	for _, e := range events {
		if !e.replaces.IsZero() {
			moved[e.uid] = append(moved[e.uid], e.replaces)
		}
	}
	const most = 20_000
	var out []holiday
	for _, e := range events {
		if e.replaces.IsZero() {
			e.not = append(e.not, moved[e.uid]...)
		}
		days, err := e.days()
		if err != nil {
			return nil, fmt.Errorf("event that ends on line %d: %w", e.line, err)
		}
		if out = append(out, days...); len(out) > most {
			return nil, fmt.Errorf("more than %d days are too many for a calendar of holidays", most)
		}
	}
	return out, nil
}

// days lists the days that the event and its repetitions cover.
func (e *event) days() ([]holiday, error) {
	if e.cancelled || e.start.IsZero() {
		return nil, nil
	}
	first := dateOf(e.start.Date())
	if e.start != first.midnight() {
		first++
	}
	length := int(dateOf(e.end.Date()) - first)
	if length <= 0 {
		return nil, nil
	}
	if length > 366 {
		return nil, fmt.Errorf("%d days are too many for a holiday", length)
	}
	starts, err := e.repetitions()
	if err != nil {
		return nil, err
	}
	var out []holiday
	for _, s := range starts {
		begin := dateOf(s.Date())
		for i := range length {
			out = append(out, holiday{begin + first - dateOf(e.start.Date()) + date(i), e.name})
		}
	}
	return out, nil
}

func (d date) midnight() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// readEvents parses the lines of a calendar into events.
func readEvents(data []byte, loc *time.Location) ([]*event, error) {
	var events []*event
	var e *event
	began, inside := 0, 0 // line on which the event begins; open components within it, such as alarms
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	for n := 0; n < len(lines); n++ {
		at, line := n, lines[n]
		for n+1 < len(lines) && folded(lines[n+1]) { // a continued line
			n++
			line += lines[n][1:]
		}
		name, parameters, value := property(line)
		switch {
		case name == "BEGIN" && e != nil:
			inside++
		case name == "BEGIN" && strings.EqualFold(value, "VEVENT"):
			e, began = &event{}, at+1
		case e == nil:
		case name == "END" && inside > 0:
			inside--
		case name == "END":
			e.line = at + 1
			e.close()
			events, e = append(events, e), nil
		case inside == 0:
			if err := e.read(name, parameters, value, loc); err != nil {
				return nil, fmt.Errorf("line %d: %w", at+1, err)
			}
		}
	}
	if e != nil {
		return nil, fmt.Errorf("it ends within the event that begins on line %d: is the file complete?", began)
	}
	return events, nil
}

// folded reports whether a line continues the previous one.
func folded(line string) bool { return line != "" && (line[0] == ' ' || line[0] == '\t') }

// close sets the missing end of an event as the standard defines it: after the event's duration, or after one day if
// the start is a date. A time at midnight is treated like a date.
func (e *event) close() {
	switch {
	case !e.end.IsZero():
	case e.duration > 0:
		e.end = e.start.Add(e.duration)
	case e.start.Equal(e.start.Truncate(oneDay)):
		e.end = e.start.Add(oneDay)
	default:
		e.end = e.start
	}
}

func (e *event) read(name, parameters, value string, loc *time.Location) (err error) {
	switch name {
	case "UID":
		e.uid = value
	case "SUMMARY":
		e.name = text.OneLine(strings.NewReplacer(`\,`, ",", `\;`, ";", `\n`, " ", `\N`, " ", `\\`, `\`).Replace(value), 60)
	case "DTSTART":
		e.start, err = moment(parameters, value, loc)
	case "DTEND":
		e.end, err = moment(parameters, value, loc)
	case "DURATION":
		e.duration, err = isoDuration(value)
	case "RRULE":
		e.rule = value
	case "RDATE", "EXDATE":
		for _, part := range strings.Split(value, ",") {
			t, err := moment(parameters, part, loc)
			if err != nil {
				return err
			}
			if name == "RDATE" {
				e.also = append(e.also, t)
			} else {
				e.not = append(e.not, t)
			}
		}
	case "RECURRENCE-ID":
		e.replaces, err = moment(parameters, value, loc)
	case "STATUS":
		e.cancelled = strings.EqualFold(value, "CANCELLED")
	}
	return err
}

// property splits a line into name, parameters and value. It ignores a colon in a quoted parameter.
func property(line string) (name, parameters, value string) {
	quoted := false
	for i, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			name, parameters, _ = strings.Cut(line[:i], ";")
			return strings.ToUpper(strings.TrimSpace(name)), parameters, strings.TrimSpace(line[i+1:])
		}
	}
	return "", "", ""
}

var zoneParameter = regexp.MustCompile(`(?i)(?:^|;)TZID="?([^";]+)"?`)

// moment parses a date or a time and returns the wall-clock reading in loc. A time without a zone, or in a zone that
// only the calendar defines, is treated as a time in loc.
func moment(parameters, value string, loc *time.Location) (time.Time, error) {
	if len(value) == 8 {
		if t, err := time.Parse("20060102", value); err == nil {
			return t, nil
		}
		return time.Time{}, fmt.Errorf("%s is not a date", strconv.Quote(value))
	}
	in, reading := loc, value
	if z := zoneParameter.FindStringSubmatch(parameters); z != nil {
		if known, err := time.LoadLocation(z[1]); err == nil {
			in = known
		}
	}
	if rest, utc := strings.CutSuffix(value, "Z"); utc {
		in, reading = time.UTC, rest
	}
	t, err := time.ParseInLocation("20060102T150405", reading, in)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is neither a date nor a time", strconv.Quote(text.Cut(value, 60)))
	}
	t = t.In(loc)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC), nil
}

var isoPart = regexp.MustCompile(`^P(?:(\d{1,3})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:\d{1,6}S)?)?$`)

// isoDuration parses an ISO 8601 duration such as P1D, P2W or PT36H.
func isoDuration(value string) (time.Duration, error) {
	m := isoPart.FindStringSubmatch(value)
	if m == nil {
		return 0, fmt.Errorf("%s is not a duration", strconv.Quote(text.Cut(value, 60)))
	}
	var total time.Duration
	for i, size := range []time.Duration{7 * oneDay, oneDay, time.Hour, time.Minute} {
		n, _ := strconv.Atoi("0" + m[i+1])
		total += time.Duration(n) * size
	}
	return total, nil
}
