package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parseICS reads the dates of a calendar's all-day events; events at a time of day are not about whole days and are
// passed over. An event that repeats is refused, because its later dates are not in the file.
func parseICS(data []byte) ([]date, error) {
	if len(data) > 4<<20 {
		return nil, fmt.Errorf("%d bytes are too many for a calendar of holidays", len(data))
	}
	text := strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "", "\r\n", "\n").Replace(string(data))
	var (
		dates      []date
		start, end string
		repeats    bool
		inEvent    bool
		sawEvent   bool
	)
	for n, line := range strings.Split(text, "\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, parameters, _ := strings.Cut(strings.ToUpper(name), ";")
		switch {
		case name == "BEGIN" && strings.EqualFold(value, "VEVENT"):
			inEvent, sawEvent, start, end, repeats = true, true, "", "", false
		case !inEvent:
		case name == "DTSTART" && wholeDay(parameters, value):
			start = value
		case name == "DTEND" && wholeDay(parameters, value):
			end = value
		case name == "RRULE" || name == "RDATE":
			repeats = true
		case name == "END" && strings.EqualFold(value, "VEVENT"):
			inEvent = false
			if start == "" {
				continue
			}
			if repeats {
				return nil, fmt.Errorf("the event on %s repeats, which is not read: export the calendar with one event for each date", start)
			}
			span, err := eventDates(start, end)
			if err != nil {
				return nil, fmt.Errorf("event that ends before line %d: %w", n+1, err)
			}
			dates = append(dates, span...)
		}
	}
	if !sawEvent {
		return nil, fmt.Errorf("no event in it: is it an iCalendar file?")
	}
	slices.Sort(dates)
	return slices.Compact(dates), nil
}

func wholeDay(parameters, value string) bool {
	return len(value) == 8 && (parameters == "" || strings.Contains(parameters, "VALUE=DATE"))
}

// eventDates lists an event's days; its end is the day after the last.
func eventDates(start, end string) ([]date, error) {
	first, err := time.Parse("20060102", start)
	if err != nil {
		return nil, fmt.Errorf("%s is not a date", strconv.Quote(start))
	}
	last := first
	if end != "" {
		after, err := time.Parse("20060102", end)
		if err != nil {
			return nil, fmt.Errorf("%s is not a date", strconv.Quote(end))
		}
		last = after.AddDate(0, 0, -1)
	}
	days := int(last.Sub(first) / day)
	if days > 366 {
		return nil, fmt.Errorf("%d days are too long for a holiday", days)
	}
	dates := []date{dateOf(first.Date())}
	for len(dates) <= days {
		dates = append(dates, dates[len(dates)-1]+1)
	}
	return dates, nil
}
