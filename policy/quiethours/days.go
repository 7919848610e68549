package quiethours

import (
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// Days is a set of weekdays, written as names and ranges: "mon-fri", "sat,sun", "fri-mon". The zero value means
// every day.
type Days uint8

var dayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const everyDay Days = 1<<7 - 1

// Has reports whether the set contains a weekday.
func (d Days) Has(w time.Weekday) bool { return d == 0 || d&(1<<((int(w)+6)%7)) != 0 }

// UnmarshalText parses the text form.
func (d *Days) UnmarshalText(b []byte) error {
	var set Days
	for _, part := range strings.Split(string(b), ",") {
		part = strings.TrimSpace(part)
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := dayIndex(strings.TrimSpace(first))
		if err != nil {
			return err
		}
		to, err := dayIndex(strings.TrimSpace(last))
		if err != nil {
			return err
		}
		for i := from; ; i = (i + 1) % 7 {
			set |= 1 << i
			if i == to {
				break
			}
		}
	}
	*d = set
	return nil
}

func dayIndex(name string) (int, error) {
	for i, n := range dayNames {
		if n == name {
			return i, nil
		}
	}
	hint := "write days as mon-fri or sat,sun"
	long := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	if near := check.Nearest(name, append(long, dayNames...)); near != "" {
		hint = "write " + near[:3]
	}
	return 0, &unit.Error{Message: `"` + text.Cut(name, 40) + `" is not a weekday`, Hint: hint}
}

// String returns the text form, with three or more consecutive days as a range: "mon-fri", "sat,sun", "mon-wed,fri".
func (d Days) String() string {
	if d == 0 || d == everyDay {
		return "mon-sun"
	}
	var parts []string
	for i := 0; i < 7; i++ {
		if d&(1<<i) == 0 {
			continue
		}
		end := i
		for end+1 < 7 && d&(1<<(end+1)) != 0 {
			end++
		}
		if end-i >= 2 {
			parts = append(parts, dayNames[i]+"-"+dayNames[end])
			i = end
			continue
		}
		parts = append(parts, dayNames[i])
	}
	return strings.Join(parts, ",")
}

// MarshalText returns the result of String.
func (d Days) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// JSONSchema describes the text form.
func (Days) JSONSchema() *jsonschema.Schema {
	const name = `(mon|tue|wed|thu|fri|sat|sun)`
	return &jsonschema.Schema{
		Type:        "string",
		Pattern:     `^ *` + name + ` *(- *` + name + ` *)?(, *` + name + ` *(- *` + name + ` *)?)*$`,
		Description: "Weekdays: mon-fri, \"sat,sun\". A window belongs to the day on which it starts.",
		Examples:    []any{"mon-fri", "sat,sun"},
	}
}
