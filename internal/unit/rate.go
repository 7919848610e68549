package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// Rate is a count in a rolling period: "3 per 7d". The zero Rate is unset.
type Rate struct {
	Count int
	Per   Duration
}

// IsZero reports that no rate was given.
func (r Rate) IsZero() bool { return r == Rate{} }

// UnmarshalText accepts "COUNT per DURATION", and the empty text as unset. A count of 0 is accepted here, because the
// code that uses the rate validates the count.
func (r *Rate) UnmarshalText(b []byte) error {
	const example = "write 3 per 7d"
	text := string(b)
	if text == "" {
		*r = Rate{}
		return nil
	}
	fields := strings.Fields(text)
	if len(fields) != 3 || fields[1] != "per" {
		if n, per, ok := strings.Cut(text, "/"); ok {
			return bad("write "+strings.TrimSpace(n)+" per "+strings.TrimSpace(per), "%s is not a rate", quote(text))
		}
		if _, err := strconv.ParseUint(text, 10, 31); err == nil {
			return bad("write "+text+" per 7d", "%s has no period", quote(text))
		}
		return bad(example, "%s is not a rate", quote(text))
	}
	if !decimal.MatchString(fields[0]) || strings.Contains(fields[0], ".") {
		return bad(example, "%s does not start with a whole number", quote(text))
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || n > math.MaxInt32 {
		return bad(example, "%s has too large a count", quote(text))
	}
	per, err := ParseDuration(fields[2])
	if err != nil {
		return fmt.Errorf("rate %s: %w", quote(text), err)
	}
	if per == 0 {
		return bad(example, "%s has a period of zero", quote(text))
	}
	*r = Rate{Count: int(n), Per: per}
	return nil
}

// String prints "3 per 7d"; nothing for the zero Rate.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	return strconv.Itoa(r.Count) + " per " + r.Per.String()
}

// MarshalText returns the text of String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// JSONSchema describes the text form.
func (Rate) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:        "string",
		Pattern:     `^ *(0|[1-9][0-9]*) +per +([0-9]+(w|d|h|m|s|ms|us|ns))+ *$`,
		Description: "How many in a rolling period: 3 per 7d, 1 per 180d.",
		Examples:    []any{"3 per 7d", "1 per 180d"},
	}
}
