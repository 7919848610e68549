package quiethours

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// WindowConfig is one entry of the list: a daily window, whole days, or dates on which no window starts.
type WindowConfig struct {
	// Days are the days on which the window starts, such as mon-fri or "sat,sun"; default: every day.
	Days Days `yaml:"days"`
	// From is the time of day at which the window opens.
	From *unit.Clock `yaml:"from"`
	// To is the time of day at which the window closes; it is on the next day if it is not later than from.
	To *unit.Clock `yaml:"to"`
	// AllDay opens the window from midnight to midnight.
	AllDay bool `yaml:"all_day"`
	// Except lists dates (2026-12-24) and calendar files (holidays.ics); no window of any entry starts on these days.
	Except []string `yaml:"except"`
}

// NewWindows compiles quiet hours. `read` returns the content of a calendar file; it may be nil if no files are
// configured.
func NewWindows(list []WindowConfig, loc *time.Location, read func(name string) ([]byte, error)) (*Windows, error) {
	if found := Validate(list); found.HasErrors() {
		return nil, &check.Invalid{Problems: found}
	}
	w := &Windows{loc: loc}
	for i, q := range list {
		switch {
		case len(q.Except) > 0:
			if err := w.addExceptions(i, q.Except, read); err != nil {
				return nil, err
			}
		case q.AllDay:
			w.rules = append(w.rules, rule{q.Days, 0, 86400})
		default:
			r := rule{q.Days, int(*q.From), int(*q.To)}
			if r.to < r.from {
				r.to += 86400
			}
			w.rules = append(w.rules, r)
		}
	}
	slices.SortStableFunc(w.except, func(a, b holiday) int { return int(a.date - b.date) })
	w.except = slices.CompactFunc(w.except, func(a, b holiday) bool { return a.date == b.date }) // the first name counts
	if len(w.rules) == 0 && len(w.except) > 0 {                                                  // every day except these
		w.rules = []rule{{everyDay, 0, 86400}}
	}
	return w, nil
}

func (w *Windows) addExceptions(entry int, names []string, read func(string) ([]byte, error)) error {
	for i, name := range names {
		if d, err := parseDate(name); err == nil {
			w.except = append(w.except, holiday{date: d})
			continue
		}
		invalid := func(format string, args ...any) error {
			var p check.Problems
			p.Errorf(check.Index(check.Index("quiet_hours", entry)+".except", i), "", format, args...)
			return &check.Invalid{Problems: p}
		}
		if read == nil {
			return invalid("calendar %s: calendars cannot be read here", name)
		}
		data, err := read(name)
		if err != nil {
			return invalid("calendar %s: %v", name, err)
		}
		dates, err := parseICS(data, w.loc)
		if err != nil {
			return invalid("calendar %s: %v", name, err)
		}
		for _, h := range dates {
			if h.name == "" {
				h.name = name
			}
			w.except = append(w.except, h)
		}
	}
	return nil
}

// Validate reports windows that cannot work.
func Validate(list []WindowConfig) check.Problems {
	var p check.Problems
	for i, q := range list {
		p.Under(check.Index("quiet_hours", i), q.validate())
	}
	return p
}

func (q WindowConfig) validate() check.Problems {
	var p check.Problems
	const example = `write {days: mon-fri, from: "22:00", to: "06:00"}`
	window := q.From != nil || q.To != nil || q.AllDay
	switch {
	case len(q.Except) > 0 && (window || q.Days != 0):
		p.Errorf("except", "write it as a separate entry", "except is in an entry with a window, but exceptions apply to every window")
	case len(q.Except) > 0:
		for i, name := range q.Except {
			p.Under(check.Index("except", i), validateException(name))
		}
	case !window:
		p.Errorf("", example+" or {days: sat, all_day: true}", "an entry without a window")
	case q.AllDay && (q.From != nil || q.To != nil):
		p.Errorf("all_day", "remove all_day, or from and to", "all_day cannot be combined with from and to")
	case q.AllDay:
	case q.From == nil:
		p.Errorf("", example, "to without from")
	case q.To == nil:
		p.Errorf("", example, "from without to")
	case *q.From == *q.To:
		p.Errorf("to", "write all_day: true for a whole day", "the window ends when it starts, at %s", q.To)
	}
	for _, edge := range []struct {
		name string
		at   *unit.Clock
	}{{"from", q.From}, {"to", q.To}} {
		if edge.at != nil && (*edge.at < 0 || *edge.at >= 86400) {
			p.Errorf(edge.name, example, "%d is not a second of the day", *edge.at)
		}
	}
	return p
}

func validateException(name string) check.Problems {
	var p check.Problems
	_, err := parseDate(name)
	switch {
	case err == nil:
	case strings.HasSuffix(strings.ToLower(name), ".ics"):
	case len(name) == 10 && name[4] == '-':
		p.Errorf("", "write an existing date, such as 2026-12-24", "%q is not a day of the calendar", name)
	default:
		if t, err := time.Parse("2.1.2006", name); err == nil {
			p.Errorf("", "write "+t.Format(time.DateOnly), "%q is not a date", name)
			break
		}
		p.Errorf("", "write a date as 2026-12-24, or the name of a calendar file that ends in .ics",
			"%q is neither a date nor a calendar", text.Cut(name, 60))
	}
	return p
}

// NeverOpens reports whether there is no opening in the next five years. That happens only if exceptions cover every
// configured day.
func (w *Windows) NeverOpens(now time.Time) bool {
	return len(w.except) > 0 && !w.Contains(now) && len(w.Next(now, 1)) == 0
}

// Describe returns the rules in words, such as "mon-fri 22:00-06:00, sat,sun all day".
func (w *Windows) Describe() string {
	if w.Always() {
		return "always"
	}
	parts := make([]string, len(w.rules))
	for i, r := range w.rules {
		if r.from == 0 && r.to == 86400 {
			parts[i] = fmt.Sprintf("%s all day", r.days)
			continue
		}
		parts[i] = fmt.Sprintf("%s %s-%s", r.days, unit.Clock(r.from), unit.Clock(r.to%86400))
	}
	return strings.Join(parts, ", ")
}
