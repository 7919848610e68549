package policy

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/retraind/retraind/internal/text"
)

// RenderOptions define how a decision is shown.
type RenderOptions struct {
	// Location is the zone of the times shown; nil means UTC.
	Location *time.Location
	// Line returns the line of a configuration path, for "line 14" after a condition; nil leaves it out.
	Line func(path string) (line int, ok bool)
}

// line returns the line number of a rule in the configuration file, as text.
func (o RenderOptions) line(config string) string {
	if o.Line == nil || config == "" {
		return ""
	}
	if line, ok := o.Line(config); ok {
		return "line " + strconv.Itoa(line)
	}
	return ""
}

// Render explains the decision with a sentence and two lists: the conditions for a retrain, with yes if they trip, and
// the blockers, with NO if they block. If there are targets that do not gate, a third list has their figures. A
// condition is unsure if it is beyond its bound, but possibly by chance or not yet for long enough. It is unknown if it
// could not be judged.
func (d Decision) Render(w io.Writer, opts RenderOptions) error {
	if opts.Location == nil {
		opts.Location = time.UTC
	}
	var b strings.Builder
	head := "NOT retraining"
	switch {
	case d.RollsBack():
		head = "ROLLING BACK"
	case d.Verdict == VerdictRollback:
		head = "WAITING to roll back"
	case d.Start():
		head = "RETRAINING"
	case d.Armed():
		head = "WAITING to retrain"
	case d.Verdict == VerdictInconclusive:
		head = "UNDECIDED"
	}
	fmt.Fprintf(&b, "%s  %s, as of %s\n", d.Model, head, d.At.In(opts.Location).Format("2006-01-02 15:04:05 MST"))
	b.WriteString(sentence(d.Text) + "\n")
	if d.Baseline != "" {
		fmt.Fprintf(&b, "The baseline was measured again: %s.\n", text.Visible(d.Baseline))
	}
	// The sentence above already describes a rollback that is due or impossible.
	if c := d.probation(); c != nil && d.Verdict != VerdictRollback && d.Reason != ReasonNoFormerRelease {
		fmt.Fprintf(&b, "%s.\n", text.Capital(text.Visible(c.Text)))
	}
	table(&b, "\nA retrain is due if any of these trips:", d.conditionRows(opts))
	table(&b, "\nAll of these must allow it:", d.blockerRows(opts))
	table(&b, "\nThe other targets, for information:", d.targetRows())
	if !d.WindowNext.IsZero() {
		fmt.Fprintf(&b, "\nQuiet hours open %s, in %s.\n", text.Clock(d.WindowNext, d.At.Add(-366*day), opts.Location),
			text.Span(d.WindowNext.Sub(d.At)))
	}
	if d.Armed() {
		switch d.Reason {
		case ReasonRunActive, ReasonForeign: // they block a forced retrain too
		case ReasonPaused:
			for _, by := range d.Blocked {
				if by.Reason == ReasonPaused {
					if strings.HasPrefix(by.Text, everyPaused) {
						b.WriteString("End the pause of all models:  retraind resume\n")
					} else {
						fmt.Fprintf(&b, "End the pause of %s:  retraind resume %[1]s\n", d.Model)
					}
				}
			}
			fmt.Fprintf(&b, "Start it now anyway:  retraind trigger %s\n", d.Model)
		case ReasonHeld:
			fmt.Fprintf(&b, "End the hold:  retraind resume %s\n", d.Model)
		default:
			fmt.Fprintf(&b, "Start it now anyway:  retraind trigger %s\n", d.Model)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sentence turns a text into a sentence: it begins with a capital letter and ends with a full stop or a question mark.
func sentence(s string) string {
	s = text.Capital(text.Visible(s))
	if strings.HasSuffix(s, "?") || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// conditionRows returns rows with each condition's value, bound and distance, followed by its sentence if that says
// more.
func (d Decision) conditionRows(opts RenderOptions) [][]string {
	var rows [][]string
	for _, c := range d.Conditions {
		if c.Name == nameProbation { // it concerns a rollback, not a retrain
			continue
		}
		mark := "no"
		switch {
		case c.Tripped:
			mark = "yes"
		case c.State == StateInconclusive:
			mark = choose(c.Breached, "unsure", "unknown")
		}
		where := opts.line(c.Config)
		name := strings.TrimPrefix(choose(c.Config == "", c.Name, c.Config), "retrain_when.")
		judged := c.State != StateInconclusive || c.Breached
		switch {
		case c.Unit == UnitNone:
			rows = append(rows, []string{mark, name, c.Text, "", "", where})
			continue
		case !judged:
			rows = append(rows, []string{mark, name, "not judged yet", "", "", where})
		default:
			edge := "trips at "
			switch {
			case strings.Contains(c.Name, "_below"):
				edge = "trips below "
			case c.Name == "format_errors_above":
				edge = "trips above "
			}
			rows = append(rows, []string{mark, name, c.Unit.text(c.Value), edge + c.Unit.text(c.Bound), c.distance(), where})
		}
		if judged && mark != "no" || !judged && !strings.HasPrefix(c.Text, notJudged) {
			rows = append(rows, []string{"", "", c.Text})
		}
	}
	return rows
}

// targetRows returns rows with the figures of the targets that do not gate.
func (d Decision) targetRows() [][]string {
	var rows [][]string
	for _, t := range d.Targets {
		if t.N == 0 {
			rows = append(rows, []string{t.Name, "not measured", "no held-out item has a label for it"})
			continue
		}
		rows = append(rows, []string{
			t.Name, text.Percent(t.Accuracy),
			fmt.Sprintf("of %s, 95%% interval %s to %s", text.Plural(t.N, "held-out item"), text.Percent(t.Low),
				text.Percent(t.High)),
		})
	}
	return rows
}

func (u Unit) text(v float64) string {
	switch u {
	case UnitShare:
		return text.Percent(v)
	case UnitPoints:
		return text.Points(v)
	case UnitLabels:
		return text.Plural(int(v), "label")
	case UnitPSI:
		return "PSI " + number(v, 3)
	case UnitHours:
		return text.Span(time.Duration(v * float64(time.Hour)))
	}
	return number(v, -1)
}

// distance describes how far a condition is from tripping, in its own unit and in labels.
func (c Condition) distance() string {
	if c.Tripped || c.Unit == UnitNone {
		return ""
	}
	var parts []string
	if c.Distance > 0 && c.Unit != UnitLabels {
		unit, distance := c.Unit, c.Distance
		if unit == UnitShare {
			unit, distance = UnitPoints, distance*100
		}
		parts = append(parts, strings.TrimPrefix(unit.text(distance), "PSI ")+" to go")
	}
	if c.Labels > 0 {
		parts = append(parts, c.labelsToGo())
	}
	return strings.Join(parts, ", ")
}

// quietHours names the row of quiet hours.
const quietHours = "quiet hours"

// blockerRows returns a row for each usual check, even if the check allows a start, so that these rows are always
// shown. Rare checks have a row only if they block.
func (d Decision) blockerRows(opts RenderOptions) [][]string {
	type group struct {
		name    string
		reasons []Reason
		fine    string
		config  string
		forced  bool // checked even if the retrain is forced
	}
	groups := []group{
		{"other run", []Reason{ReasonRunActive}, "none is active", "", true},
		{"hold", []Reason{ReasonHeld}, "none", "", true},
		{"pause", []Reason{ReasonPaused}, "none", "", false},
		{"breaker", []Reason{ReasonBreakerOpen}, "closed", "limits.breaker", false},
		{
			"new information",
			[]Reason{ReasonNoNewInformation},
			"no candidate was rejected or rolled back on these labels", "", false,
		},
		{"cooldown", []Reason{ReasonCooldown, ReasonGPUHeld}, "over", "limits.cooldown", false},
		{"budget", []Reason{ReasonBudget}, "not spent", "limits.budget", false},
		{quietHours, []Reason{ReasonWindowClosed, ReasonWindowTooShort}, "open", "quiet_hours", false},
	}
	if d.Verdict == VerdictRollback {
		groups = slices.Insert(groups[:3], 0,
			group{"service", []Reason{ReasonServiceAsleep, ReasonForeign, ReasonEvaluationFailed}, "it answers", "", true})
	}
	for _, b := range d.Blocked { // these checks have a row only if they block
		switch {
		case b.Reason == ReasonSuspiciousLabels:
			groups = slices.Insert(groups, 3, group{"plausible labels", []Reason{b.Reason}, "", "limits.suspicious_labels", false})
		case b.Reason == ReasonInsufficientData:
			groups = slices.Insert(groups, 3, group{"enough labels", []Reason{b.Reason}, "", "", false})
		case b.Reason == ReasonForeign && d.Verdict != VerdictRollback:
			groups = slices.Insert(groups, 0, group{"champion serves", []Reason{b.Reason}, "", "", true})
		}
	}
	var rows [][]string
	for _, g := range groups {
		row := []string{"yes", g.name, g.fine, "", opts.line(g.config)}
		switch {
		case d.Forced && d.Verdict != VerdictRollback && !g.forced:
			row[2] = "skipped: forced"
		case d.Urgent && g.name == quietHours:
			row[2] = "skipped: urgent"
		}
		for _, b := range d.Blocked {
			for _, reason := range g.reasons {
				if b.Reason != reason {
					continue
				}
				why := strings.TrimPrefix(b.Text, g.name+" ")
				if reason == ReasonWindowClosed {
					why = "closed; they " + why
				}
				if row[0] == "NO" {
					why = row[2] + "; " + why
				}
				row[0], row[2] = "NO", why
				if !b.Until.IsZero() {
					row[3] = "in " + text.Span(b.Until.Sub(d.At))
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// table prints rows in aligned columns. Empty columns take no space. A row that ends with its third cell is a remark,
// which may extend over the following columns.
func table(b *strings.Builder, title string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = text.Visible(cell) // names and reasons were written by people and may contain control characters
			if free := i == 2 && (len(row) == 3 || strings.Join(row[3:], "") == ""); !free {
				width[i] = max(width[i], utf8.RuneCountInString(cell))
			}
		}
	}
	b.WriteString(title + "\n")
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			if width[i] > 0 || cell != "" {
				line += "  " + cell + strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell)))
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
