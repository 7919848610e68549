package quiethours_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/policy/quiethours"
)

// Calendars as other programs write them, and the days of 2026 and 2027 on which no window starts because of them.
func TestCalendarDays(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	for _, c := range []struct{ name, events, want string }{
		{"one day", "DTSTART;VALUE=DATE:20261224", "2026-12-24"},
		{"with its end", "DTSTART;VALUE=DATE:20261224|DTEND;VALUE=DATE:20261227", "2026-12-24 2026-12-25 2026-12-26"},
		{"with a duration", "DTSTART;VALUE=DATE:20261224|DURATION:P2D", "2026-12-24 2026-12-25"},
		{"every year", "DTSTART;VALUE=DATE:19900101|RRULE:FREQ=YEARLY", "2026-01-01 2027-01-01"},
		{
			"every year, several days", "DTSTART;VALUE=DATE:20241231|DTEND;VALUE=DATE:20250102|RRULE:FREQ=YEARLY;UNTIL=20261231",
			"2026-01-01 2026-12-31 2027-01-01",
		},
		{
			"until the day itself, in UTC", "DTSTART;VALUE=DATE:20250501|RRULE:FREQ=YEARLY;UNTIL=20270430T220000Z",
			"2026-05-01",
		},
		{"so often", "DTSTART;VALUE=DATE:20251003|RRULE:FREQ=YEARLY;COUNT=2", "2026-10-03"},
		{"every second year", "DTSTART;VALUE=DATE:20251003|RRULE:FREQ=YEARLY;INTERVAL=2", "2027-10-03"},
		{
			"the fourth Thursday", "DTSTART;VALUE=DATE:20201126|RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
			"2026-11-26 2027-11-25",
		},
		{"a leap day", "DTSTART;VALUE=DATE:20240229|RRULE:FREQ=YEARLY", ""},
		{
			"the first one counts though the rule does not give it",
			"DTSTART;VALUE=DATE:20260102|RRULE:FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "2026-01-02 2027-01-01",
		},
		{"taken out", "DTSTART;VALUE=DATE:20200501|RRULE:FREQ=YEARLY|EXDATE;VALUE=DATE:20260501", "2027-05-01"},
		{"added", "DTSTART;VALUE=DATE:20200501|RDATE;VALUE=DATE:20260502,20270503", "2026-05-02 2027-05-03"},
		{"moved", "UID:a|DTSTART;VALUE=DATE:20200501|RRULE:FREQ=YEARLY;UNTIL=20261231||UID:a|RECURRENCE-ID;VALUE=DATE:20260501|DTSTART;VALUE=DATE:20260504", "2026-05-04"},
		{"cancelled", "DTSTART;VALUE=DATE:20261224|STATUS:CANCELLED", ""},
		{
			"one of a series cancelled",
			"UID:a|DTSTART;VALUE=DATE:20200501|RRULE:FREQ=YEARLY||UID:a|RECURRENCE-ID;VALUE=DATE:20260501|DTSTART;VALUE=DATE:20260501|STATUS:CANCELLED", "2027-05-01",
		},
		{"folded in the middle", "DTSTART;VALUE=DA\r\n TE:2026\r\n\t1224", "2026-12-24"},
		{
			"an alarm has a duration of its own", "DTSTART;VALUE=DATE:20261224|BEGIN:VALARM|DURATION:P9D|DTSTART:x|END:VALARM",
			"2026-12-24",
		},
		{"a meeting", "DTSTART:20261224T100000Z|DTEND:20261224T110000Z", ""},
		{"an evening", "DTSTART;TZID=Europe/Berlin:20261224T180000|DTEND;TZID=Europe/Berlin:20261225T020000", ""},
		{
			"midnight to midnight here", "DTSTART;TZID=Europe/Berlin:20261224T000000|DTEND;TZID=Europe/Berlin:20261226T000000",
			"2026-12-24 2026-12-25",
		},
		{"midnight to midnight in UTC, summer", "DTSTART:20260630T220000Z|DTEND:20260701T220000Z", "2026-07-01"},
		{"from noon on for two days", "DTSTART:20260701T120000|DTEND:20260703T120000", "2026-07-02"},
		{
			"a zone that only the calendar knows",
			"DTSTART;TZID=\"(UTC+01:00) Berlin\":20261224T000000|DTEND;TZID=\"(UTC+01:00) Berlin\":20261225T000000",
			"2026-12-24",
		},
		{
			"every year from midnight to midnight",
			"DTSTART;TZID=Europe/Berlin:20200705T000000|DURATION:PT24H|RRULE:FREQ=YEARLY", "2026-07-05 2027-07-05",
		},
		{
			"two events on one day", "DTSTART;VALUE=DATE:20261224|SUMMARY:a||DTSTART;VALUE=DATE:20261224|SUMMARY:b",
			"2026-12-24",
		},
	} {
		text := "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
		for _, e := range strings.Split(c.events, "||") {
			text += "BEGIN:VEVENT\r\n" + strings.ReplaceAll(e, "|", "\r\n") + "\r\nEND:VEVENT\r\n"
		}
		w, err := quiethours.NewWindows([]quiethours.WindowConfig{
			{From: clock(t, "12:00"), To: clock(t, "13:00")},
			{Except: []string{"h.ics"}},
		}, loc, func(string) ([]byte, error) { return []byte(text), nil })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for d := time.Date(2026, 1, 1, 12, 0, 0, 0, loc); d.Year() < 2028; d = d.AddDate(0, 0, 1) {
			if !w.Contains(d) {
				got = append(got, d.Format(time.DateOnly))
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// A calendar that is cut off within an event is refused: its last holidays are missing.
func TestCalendarCutOff(t *testing.T) {
	t.Parallel()
	const whole = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nEND:VEVENT\n" +
		"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225\nBEGIN:VALARM\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n"
	for _, end := range []string{"BEGIN:VALARM", "END:VALARM", "END:VEVENT\nEND:VCALENDAR"} {
		cut := whole[:strings.LastIndex(whole, end)]
		_, err := quiethours.NewWindows([]quiethours.WindowConfig{{Except: []string{"h.ics"}}}, time.UTC,
			func(string) ([]byte, error) { return []byte(cut), nil })
		if err == nil || !strings.Contains(err.Error(), "ends within the event that begins on line 5") {
			t.Errorf("cut off before %q: %v", end, err)
		}
	}
}

// A repetition that no calendar can have is an error, not a panic.
func TestBadRepetitions(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"FREQ=MONTHLY;BYDAY=-6FR", "FREQ=YEARLY;BYEASTER=400", "FREQ=YEARLY;BYDAY=0XX", "x"} {
		text := "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nRRULE:" + rule + "\nEND:VEVENT\n"
		_, err := quiethours.NewWindows([]quiethours.WindowConfig{{Except: []string{"h.ics"}}}, time.UTC,
			func(string) ([]byte, error) { return []byte(text), nil })
		if err == nil || !strings.Contains(err.Error(), "event that ends on line 4: the repetition "+rule+" cannot be read") {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
