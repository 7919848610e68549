package policy_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/quiethours"
)

const example = `
evaluate: {every: 1h, after_changes: 25, debounce: 5s, max_wait: 1m, min_items: 200, schedule: "30 2 * * MON"}
retrain_when:
  accuracy_below: 85%
  accuracy_drop: {points: 3, false_retrains: 1 per 180d}
  macro_f1_drop: {points: 5}
  category_recall_below: {all: 70%, min_items: 30, Sport: 80%}
  label_changes: {share: 10%, at_least: 50}
  new_category: {examples: 20}
  label_shift: {psi: 0.2}
  max_age: 90d
  when: drop > 0.02 and changed > 100
urgent_when: {accuracy_below: 70%}
limits: {cooldown: 24h, budget: 3 per 7d, breaker: 3}
quiet_hours:
  - {days: mon-fri, from: "22:00", to: "06:00"}
  - {days: sat-sun, all_day: true}
  - {except: [2026-12-24, holidays.ics]}
`

const holidays = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Christmas and a very long\r\n  name\r\nDTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\nEND:VEVENT\r\n" +
	"BEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20261120T100000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

func decode(t *testing.T, file, source string) (c policy.Config, readable bool, problems strictyaml.Problems) {
	t.Helper()
	c = policy.Defaults()
	doc, err := strictyaml.Decode(file, []byte(source), &c)
	if err != nil && !errors.As(err, &problems) {
		t.Fatal(err)
	}
	if doc != nil {
		problems = append(problems, doc.Locate(c.Validate(time.UTC))...)
	}
	return c, err == nil, problems
}

func TestExampleConfiguration(t *testing.T) {
	t.Parallel()
	c, _, problems := decode(t, "f.yaml", example)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := config(t)
	want.Evaluate.Schedule = "30 2 * * MON"
	want.RetrainWhen.CategoryRecallBelow.Category = map[string]unit.Percent{"Sport": 0.8}
	want.RetrainWhen.When = &policy.When{Expression: "drop > 0.02 and changed > 100"}
	want.QuietHours = append(want.QuietHours, quiethours.WindowConfig{Except: []string{"2026-12-24", "holidays.ics"}})
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	loc := zone(t, "Europe/Berlin")
	p, err := policy.Compile(c, loc, policy.Options{ReadFile: func(name string) ([]byte, error) {
		if name != "holidays.ics" {
			t.Errorf("read %s", name)
		}
		return []byte(holidays), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var starts []string
	for _, i := range p.Windows().Next(time.Date(2026, 12, 23, 12, 0, 0, 0, loc), 3) {
		starts = append(starts, i.Start.Format("Mon 01-02 15:04"))
	}
	// Thursday 24 is in the list, Friday 25 and Saturday 26 are in the calendar.
	if diff := cmp.Diff([]string{"Wed 12-23 22:00", "Sun 12-27 00:00", "Mon 12-28 22:00"}, starts); diff != "" {
		t.Errorf("openings (-want +got):\n%s", diff)
	}
	if got := p.Scheduled(time.Date(2026, 11, 18, 12, 0, 0, 0, loc)); !got.Equal(time.Date(2026, 11, 23, 2, 30, 0, 0,
		loc)) {
		t.Errorf("scheduled at %s", got)
	}
	if o := c.Tests(drift.Options{Model: "m"}); o.FalseRetrains.String() != "1 per 180d" || o.DropPoints != 3 ||
		o.Model != "m" {
		t.Errorf("tests %+v", o)
	}
}

// A condition without numbers has the default ones.
func TestConditionDefaults(t *testing.T) {
	t.Parallel()
	c, _, problems := decode(t, "f.yaml",
		"retrain_when: {accuracy_drop: {}, macro_f1_drop: {}, label_changes: {share: 10%}, new_category: {}, label_shift: {}, category_recall_below: {all: 70%}, category_recall_drop: {}}\n")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := config(t).RetrainWhen
	want.AccuracyBelow, want.MaxAge = nil, nil
	want.CategoryRecallDrop = &policy.CategoryRecallDrop{
		Points:        10,
		FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * day)}, MinItems: 30,
	}
	if diff := cmp.Diff(want, c.RetrainWhen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(policy.Defaults().Limits, c.Limits); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each bad policy is named after its error; its golden file is the complete message.
func TestBadPolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, readable, problems := decode(t, filepath.Base(file), string(source))
		if problems.Err() == nil {
			t.Errorf("%s accepted: %v", file, problems)
		}
		if _, err := policy.Compile(c, time.UTC, policy.Options{}); readable && err == nil {
			t.Errorf("%s compiled", file)
		}
		var out bytes.Buffer
		if err := problems.Render(&out, source); err != nil {
			t.Fatal(err)
		}
		golden(t, "bad/"+strings.TrimSuffix(filepath.Base(file), ".yaml")+".golden", out.Bytes())
	}
}

func TestNeverOpens(t *testing.T) {
	t.Parallel()
	c := policy.Defaults()
	c.RetrainWhen.AccuracyBelow = below(0.85)
	var names []string
	for d := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC); d.Year() < 2032; d = d.Add(day) {
		names = append(names, d.Format(time.DateOnly))
	}
	c.QuietHours = []quiethours.WindowConfig{{AllDay: true}, {Except: names}}
	if _, err := policy.Compile(c, time.UTC, policy.Options{}); err == nil ||
		err.Error() != "policy quiet_hours: no window opens in five years (check the days and the exceptions)" {
		t.Errorf("got %v", err)
	}
}

// No text makes a parser panic, and an accepted text gives valid windows.
func FuzzQuietHours(f *testing.F) {
	for _, s := range []string{
		"mon-fri", "sat,sun", "fri-mon", "", "-", ",", holidays,
		"BEGIN:VEVENT\nDTSTART:99999999\nEND:VEVENT", "TZ=0", "CRON_TZ=", "TZ= * * * * *", "@every 1h", "0 0 30 2 *",
		"0 0 29 2 *", "drop > 0.1", "drop > ", "1..1e9", "accuracy < 0.5 or alarmed",
	} {
		f.Add(s)
	}
	loc := zone(f, "Europe/Berlin")
	now := noon(f)
	report := healthy(f)
	f.Fuzz(func(t *testing.T, text string) {
		var d, back quiethours.Days
		if d.UnmarshalText([]byte(text)) == nil {
			if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
				t.Fatalf("%q = %s reads back as %s, %v", text, d, back, err)
			}
		}
		read := func(string) ([]byte, error) { return []byte(text), nil }
		if w, err := quiethours.NewWindows([]quiethours.WindowConfig{{Days: d, AllDay: true}, {Except: []string{"x.ics"}}},
			loc, read); err == nil {
			for _, i := range w.Next(now, 3) {
				if !i.Start.Before(i.End) || !w.Contains(i.Start) || i.Start.Before(now) {
					t.Fatalf("%q: opening %v", text, i)
				}
			}
		}
		if s, err := policy.ParseSchedule(text, loc); err == nil {
			if next := s.Next(now); !next.After(now) {
				t.Fatalf("%q: next is %s", text, next)
			}
		}
		c := policy.Defaults()
		c.RetrainWhen.AccuracyBelow = below(0.5)
		c.RetrainWhen.When = &policy.When{Expression: text}
		c.QuietHours = []quiethours.WindowConfig{{Except: []string{text}}}
		if p, err := policy.Compile(c, loc, policy.Options{ReadFile: read}); err == nil {
			p.Decide(report, policy.History{}, now)
		}
		c.QuietHours = nil
		if p, err := policy.Compile(c, loc, policy.Options{}); err == nil {
			sound(t, p.Decide(report, policy.History{}, now))
		}
	})
}
