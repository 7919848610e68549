package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/internal/text"
)

// parseTime parses a date, a date and a time of day, a time of day of today (all in the zone of now), or RFC 3339.
func parseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{
		time.DateOnly, "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04",
		time.RFC3339,
	} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t.In(now.Location()), nil
		}
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", now.Format(time.DateOnly)+" "+text, now.Location()); err == nil { // today
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q: write 20:00, 2027-03-27, \"2027-03-27 20:00\" or 2027-03-27T20:00:00+01:00", text)
}

// plan prints one model's openings in order of time, and after them the windows that an exception closes.
func (p *page) plan(plan offline.Plan, at time.Time) {
	p.line(bold(plan.Model)+"  "+plan.Rules+"  in "+plan.Location.String(), 4)
	p.field("a run", "needs "+needs(plan))
	if plan.Always {
		p.field("opens", "always: no quiet hours are set")
		return
	}
	const layout = "Mon 2006-01-02 15:04 MST"
	var rows [][]string
	for _, o := range plan.Openings {
		opens := o.Start.In(plan.Location).Format(layout)
		if o.Open {
			if opens = "open now"; time.Since(at).Abs() > time.Minute { // --from
				opens = "already open"
			}
		}
		rows = append(rows, []string{
			opens, o.End.In(plan.Location).Format(layout),
			o.Start.UTC().Format("01-02 15:04") + " - " + o.End.UTC().Format("01-02 15:04"),
			text.Elapsed(o.Length()), fits(o, at),
		})
	}
	p.line("", 0)
	if len(rows) == 0 {
		p.line("  it does not open in the next five years", 2)
		return
	}
	p.table(2, []string{"OPENS", "CLOSES", "UTC", "LASTS", "FITS"}, rows...)
	for _, o := range plan.Openings {
		for _, note := range o.Notes {
			p.line("  "+o.Start.In(plan.Location).Format("Mon 2006-01-02")+": "+note, 4)
		}
	}
	for _, c := range plan.Closings {
		why := "exception"
		if c.Name != "" {
			why = c.Name
		}
		p.line("  "+c.Window.Start.In(plan.Location).Format(layout)+": does not open ("+why+")", 4)
	}
}

func fits(o offline.PlannedOpening, at time.Time) string {
	if o.Fits {
		return "yes"
	}
	if o.Open {
		return "NO: " + text.Elapsed(o.End.Sub(at)) + " left"
	}
	return "NO"
}

// needs describes the expected duration of the next run, and the figures from which it was computed.
func needs(plan offline.Plan) string {
	var parts []string
	runs, unknown := 0, 0
	for _, s := range plan.Expected.Steps {
		runs = max(runs, s.Runs)
		switch {
		case s.Checkpoints:
			parts = append(parts, s.Name+" (split over several quiet hours)")
		case !s.Known:
			unknown++
		case s.Runs == 0:
			parts = append(parts, s.Name+" "+text.Elapsed(s.Time)+" as configured")
		default:
			parts = append(parts, s.Name+" "+text.Elapsed(s.Time))
		}
	}
	reserve := text.Elapsed(plan.Reserve) + " in reserve"
	total := text.Elapsed(plan.Expected.Total + plan.Reserve)
	switch {
	case unknown == len(plan.Expected.Steps):
		return "at least " + total + " (" + reserve + "): how long a run takes is unknown, because none has ended and no step sets expect"
	case unknown > 0:
		parts = append(parts, text.Plural(unknown, "step")+" of unknown duration")
		total = "at least " + total
	}
	said := total + ": " + strings.Join(append(parts, reserve), ", ")
	if runs > 0 {
		said += fmt.Sprintf(" (90th percentile of the last %s)", text.Plural(runs, "run"))
	}
	return said
}
