package quiethours_test

import (
	"os"
	"testing"
	"time"

	"github.com/retraind/retraind/policy/quiethours"
)

func TestCalendars(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"":       "quiet_hours[1].except[0]: calendar h.ics: the file has no event; is it an iCalendar file?",
		"<html>": "quiet_hours[1].except[0]: calendar h.ics: the file has no event; is it an iCalendar file?",
		"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261301\nEND:VEVENT\n":                            `quiet_hours[1].except[0]: calendar h.ics: line 2: "20261301" is not a date`,
		"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nRRULE:FREQ=YEARLY\nEND:VEVENT\n":         "",
		"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nRRULE:FREQ=NEVER\nEND:VEVENT\n":          "quiet_hours[1].except[0]: calendar h.ics: event that ends on line 4: the repetition FREQ=NEVER cannot be read: undefined frequency: NEVER",
		"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nRRULE:FREQ=HOURLY\nEND:VEVENT\n":         "quiet_hours[1].except[0]: calendar h.ics: event that ends on line 4: the repetition FREQ=HOURLY is more frequent than daily",
		"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nRRULE:FREQ=DAILY\nEND:VEVENT\n":          "quiet_hours[1].except[0]: calendar h.ics: event that ends on line 4: the repetition FREQ=DAILY has more than 5300 dates",
		"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20300101\nEND:VEVENT\n": "quiet_hours[1].except[0]: calendar h.ics: event that ends on line 4: 1461 days are too many for a holiday",
		"BEGIN:VEVENT\nDTSTART:20261224T100000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\n":             "",
		holidays: "",
	} {
		_, err := quiethours.NewWindows([]quiethours.WindowConfig{{AllDay: true}, {Except: []string{"h.ics"}}}, time.UTC,
			func(string) ([]byte, error) { return []byte(content), nil })
		if got := errText(err); got != want {
			t.Errorf("%q: %s, want %s", content, got, want)
		}
	}
	_, err := quiethours.NewWindows([]quiethours.WindowConfig{{Except: []string{"h.ics"}}}, time.UTC,
		func(string) ([]byte, error) { return nil, os.ErrNotExist })
	if got := errText(err); got != "quiet_hours[0].except[0]: calendar h.ics: file does not exist" {
		t.Error(got)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mon-fri": "mon-fri", "sat,sun": "sat,sun", "sat-sun": "sat,sun", "fri-mon": "mon,fri-sun", "wed": "wed",
		"mon-sun": "mon-sun",
		"sun,mon": "mon,sun", "mon-wed, fri": "mon-wed,fri", "mon - wed": "mon-wed", "tue-mon": "mon-sun",
	} {
		d := days(t, text)
		if d.String() != want {
			t.Errorf("%s prints as %s, want %s", text, d, want)
		}
		if back := days(t, d.String()); back != d {
			t.Errorf("%s reads back as %s", d, back)
		}
	}
	if d := days(t, "fri-mon"); !d.Has(time.Sunday) || !d.Has(time.Monday) || d.Has(time.Tuesday) ||
		d.Has(time.Thursday) || !d.Has(time.Friday) {
		t.Error("fri-mon holds the wrong days")
	}
}
