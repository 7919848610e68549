package unit

import (
	"math"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// Points is a difference of two shares in percentage points, zero or more: from 90% to 87% it is 3 points. It is
// written as a plain number, or with "pt": 3, 0.5, 3pt.
type Points float64

// F returns the points; 3 for three percentage points.
func (p Points) F() float64 { return float64(p) }

// UnmarshalText accepts a plain number from 0 to 100, with or without "pt".
func (p *Points) UnmarshalText(b []byte) error {
	const example = "write 3 or 3pt"
	text := string(b)
	if text == "" {
		return bad(example, "an empty text is not a number of points")
	}
	if num, ok := strings.CutSuffix(text, "%"); ok {
		return bad("a difference is written in percentage points: write "+strings.TrimSpace(num), "%s is a percentage",
			quote(text))
	}
	v, err := number(text, strings.TrimSuffix(text, "pt"), "%s", example)
	switch {
	case err != nil:
		return err
	case v > 100:
		return bad("points are differences of percentages: "+example, "%s is more than 100 points", quote(text))
	}
	*p = Points(v)
	return nil
}

// String prints "3pt".
func (p Points) String() string {
	if p == 0 || math.IsNaN(float64(p)) {
		return "0pt"
	}
	return strconv.FormatFloat(float64(p), 'f', -1, 64) + "pt"
}

// MarshalText returns the text of String.
func (p Points) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// JSONSchema describes both forms.
func (Points) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		AnyOf: []*jsonschema.Schema{
			{Type: "number", Minimum: "0", Maximum: "100"},
			{Type: "string", Pattern: `^(0|[1-9][0-9]*)(\.[0-9]+)?pt$`},
		},
		Description: "A difference in percentage points: 3 is the step from 90% to 87%.",
		Examples:    []any{3, "3pt"},
	}
}
