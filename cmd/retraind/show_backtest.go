package main

import (
	"fmt"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy/playback"
)

// backtest prints the results for one model: for one policy, two columns that compare the recorded past with what this
// policy would have done; for a sweep, one line for each value.
func (p *page) backtest(model, key string, floor float64, all []tried, took time.Duration, loc *time.Location) {
	b := all[0].Best
	if b.Evaluations == 0 {
		p.line(bold(model)+"  no evaluation was recorded in that time", 4)
		return
	}
	p.line(fmt.Sprintf("%s  %s to %s: %s, replayed in %s", bold(model), b.From.In(loc).Format("2006-01-02 15:04 MST"),
		b.To.In(loc).Format("2006-01-02 15:04 MST"),
		text.Plural(b.Evaluations, "evaluation"), took.Round(time.Millisecond)), 4)
	p.line("", 0)
	if key != "" {
		p.swept(key, floor, all)
	} else {
		p.compared(all[0], floor, loc)
	}
	open := false
	for _, t := range all {
		open = open || unknown(t)
	}
	if open {
		p.line("", 0)
		p.line("The effect of a retrain that never ran is unknown. Where two figures are given, the first assumes that each of these retrains fixed the conditions that caused it, the second that it fixed nothing.",
			0)
	}
}

// unknown reports whether the result depends on a retrain that never ran, so that its effect is unknown.
func unknown(t tried) bool {
	for _, c := range t.Best.Divergences {
		if c.Run == "" {
			return true
		}
	}
	return false
}

func (p *page) compared(t tried, floor float64, loc *time.Location) {
	then, best, worst := t.Best.Then, t.Best.Now, t.Worst.Now
	rows := [][]string{
		{"retrains", text.Count(then.Retrains), both(text.Count(best.Retrains), text.Count(worst.Retrains))},
	}
	if then.Forced+best.Forced > 0 {
		rows = append(rows, []string{"  requested", text.Count(then.Forced), text.Count(best.Forced)})
	}
	if then.Urgent+best.Urgent+worst.Urgent > 0 {
		rows = append(rows, []string{"  urgent", text.Count(then.Urgent), both(text.Count(best.Urgent), text.Count(worst.Urgent))})
	}
	rows = append(rows, []string{"median wait", delay(then), both(delay(best), delay(worst))},
		[]string{"total wait", text.Elapsed(then.Waiting), both(text.Elapsed(best.Waiting), text.Elapsed(worst.Waiting))})
	if floor > 0 {
		rows = append(rows, []string{
			fmt.Sprintf("days below %.1f%%", 100*floor), inDays(then.Below),
			both(inDays(best.Below), inDays(worst.Below)),
		})
	}
	rows = append(rows, []string{"GPU hours", inHours(then.GPU), both(inHours(best.GPU), inHours(worst.GPU))},
		[]string{"hours of runs", inHours(then.Run), both(inHours(best.Run), inHours(worst.Run))})
	p.table(2, []string{"", "RECORDED", "THIS POLICY"}, rows...)
	p.line("", 0)
	if len(t.Best.Divergences) == 0 {
		p.line("Every run would have started when it did.", 0)
		return
	}
	p.line("Differences:", 0)
	layout := "Mon 2006-01-02 15:04 MST"
	if t.Best.To.Sub(t.Best.From) < time.Hour {
		layout = "15:04:05 MST"
	}
	for _, c := range t.Best.Divergences {
		what := "would retrain: "
		if c.Run != "" {
			what = "run " + text.RunID(c.Run) + " would not have started then: "
		}
		p.line("  "+c.At.In(loc).Format(layout)+"  "+what+c.Text, 4)
	}
}

func (p *page) swept(key string, floor float64, all []tried) {
	headers := []string{key, "RETRAINS", "MEDIAN WAIT", "GPU HOURS", "HOURS OF RUNS"}
	if floor > 0 {
		headers = append(headers, fmt.Sprintf("DAYS BELOW %.1f%%", 100*floor))
	}
	row := func(name string, best, worst playback.Totals) []string {
		cells := []string{
			name, both(text.Count(best.Retrains), text.Count(worst.Retrains)), both(delay(best), delay(worst)),
			both(inHours(best.GPU), inHours(worst.GPU)), both(inHours(best.Run), inHours(worst.Run)),
		}
		if floor > 0 {
			cells = append(cells, both(inDays(best.Below), inDays(worst.Below)))
		}
		return cells
	}
	then := all[0].Best.Then
	rows := [][]string{row("recorded", then, then)}
	for _, t := range all {
		rows = append(rows, row(t.Value, t.Best.Now, t.Worst.Now))
	}
	p.table(2, headers, rows...)
}

// both formats the two bounds of a figure, as one figure if they are equal.
func both(best, worst string) string {
	if best == worst {
		return best
	}
	return best + " to " + worst
}

func delay(s playback.Totals) string {
	if len(s.Delays) == 0 {
		return "-"
	}
	return text.Elapsed(s.Delay())
}

func inDays(d time.Duration) string  { return fmt.Sprintf("%.1f", d.Hours()/24) }
func inHours(d time.Duration) string { return fmt.Sprintf("%.1f", d.Hours()) }

// sideJSON is the result of one policy in the output of --json. Durations are in seconds.
type sideJSON struct {
	Retrains int       `json:"retrains"`
	Urgent   int       `json:"urgent"`
	Forced   int       `json:"forced"`
	Delays   []float64 `json:"delays_seconds"`
	Delay    float64   `json:"median_delay_seconds"`
	Waiting  float64   `json:"waiting_seconds"`
	Below    float64   `json:"below_floor_seconds"`
	Run      float64   `json:"run_seconds"`
	GPU      float64   `json:"gpu_seconds"`
}

func newSideJSON(s playback.Totals) sideJSON {
	out := sideJSON{
		s.Retrains, s.Urgent, s.Forced,
		[]float64{},
		s.Delay().Seconds(), s.Waiting.Seconds(),
		s.Below.Seconds(), s.Run.Seconds(), s.GPU.Seconds(),
	}
	for _, d := range s.Delays {
		out.Delays = append(out.Delays, d.Seconds())
	}
	return out
}

type changeJSON struct {
	At   time.Time `json:"at"`
	Run  string    `json:"run,omitempty"` // absent if only this policy would have started a run
	Text string    `json:"text"`
}

// resultJSON contains the two bounds of the result. They are equal if the record determines the result.
type resultJSON struct {
	Value   string       `json:"value,omitempty"`
	Best    sideJSON     `json:"if_mended"`
	Worst   sideJSON     `json:"if_nothing_mended"`
	Changes []changeJSON `json:"changes"`
}

func backtestDocument(model, key string, floor float64, all []tried) any {
	type document struct {
		Model       string       `json:"model"`
		From        time.Time    `json:"from,omitzero"`
		To          time.Time    `json:"to,omitzero"`
		Evaluations int          `json:"evaluations"`
		Floor       float64      `json:"floor,omitempty"`
		Sweep       string       `json:"sweep,omitempty"`
		Recorded    sideJSON     `json:"recorded"`
		Results     []resultJSON `json:"results"`
	}
	b := all[0].Best
	doc := document{
		Model: model, From: b.From, To: b.To, Evaluations: b.Evaluations, Floor: floor, Sweep: key,
		Recorded: newSideJSON(b.Then),
	}
	for _, t := range all {
		r := resultJSON{
			Value: t.Value, Best: newSideJSON(t.Best.Now), Worst: newSideJSON(t.Worst.Now),
			Changes: []changeJSON{},
		}
		for _, c := range t.Best.Divergences {
			r.Changes = append(r.Changes, changeJSON(c))
		}
		doc.Results = append(doc.Results, r)
	}
	return doc
}
