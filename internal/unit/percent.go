package unit

import (
	"math"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// Percent is a share of a whole. Its value is a fraction in [0, 1]; it is written "85%", "99.5%" or 0.85.
type Percent float64

// F returns the fraction.
func (p Percent) F() float64 { return float64(p) }

// UnmarshalText accepts "85%" or a fraction from 0 to 1. A bare "1" is refused: it may mean 1% or 100%.
func (p *Percent) UnmarshalText(b []byte) error {
	const example = "write 85% or 0.85"
	text := string(b)
	if text == "" {
		return bad(example, "an empty text is not a share")
	}
	num, percent := strings.CutSuffix(text, "%")
	if trimmed := strings.TrimSpace(num); percent && trimmed != num && decimal.MatchString(trimmed) {
		return bad("write "+trimmed+"%", "%s has a space in it", quote(text))
	}
	form := "%s%%"
	if !percent && (strings.HasPrefix(strings.TrimLeft(num, "-"), "0") || strings.HasPrefix(num, ".")) {
		form = "%s"
	}
	v, err := number(text, num, form, example)
	switch {
	case err != nil:
		return err
	case percent && v > 100:
		return bad(example, "%s is more than 100%%", quote(text))
	case percent:
		*p = Percent(v / 100)
		return nil
	case num == "1":
		return bad("write 1% or 100%", "\"1\" may mean 1%% or 100%%")
	case v > 1 && v <= 100:
		return bad("write "+num+"% or "+Percent(v/100).fraction(), "%s is not between 0 and 1", quote(text))
	case v > 1:
		return bad(example, "%s is not between 0 and 1", quote(text))
	}
	*p = Percent(v)
	return nil
}

// String prints a percentage if reading it back gives exactly the same value, and otherwise the fraction.
func (p Percent) String() string {
	text := strconv.FormatFloat(math.Round(float64(p)*1e12)/1e10, 'f', -1, 64) + "%"
	var back Percent
	if back.UnmarshalText([]byte(text)) == nil && back == p {
		return text
	}
	if p == 1 {
		return "100%"
	}
	return p.fraction()
}

func (p Percent) fraction() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) }

// MarshalText returns the text of String.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// JSONSchema describes both forms.
func (Percent) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		AnyOf: []*jsonschema.Schema{
			{Type: "string", Pattern: `^(100(\.0+)?|[1-9]?[0-9](\.[0-9]+)?)%$`},
			{Type: "number", Minimum: "0", Maximum: "1"},
		},
		Description: "A share of the whole: 85%, 99.5%, or the fraction 0.85.",
		Examples:    []any{"85%", 0.85},
	}
}
