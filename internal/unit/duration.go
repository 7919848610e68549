package unit

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// Duration is an elapsed time written with units: 30s, 30m, 24h, 1h30m, 7d, 2w, 300ms. A day is always 24 hours and a
// week seven days, even when the clocks change.
type Duration time.Duration

// D returns d as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

var durationUnits = []struct {
	name string
	size time.Duration
}{
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
	{"us", time.Microsecond},
	{"ns", time.Nanosecond},
}

// ParseDuration reads the text form.
func ParseDuration(text string) (Duration, error) {
	var d Duration
	err := d.UnmarshalText([]byte(text))
	return d, err
}

// UnmarshalText accepts whole counts with units, the largest first: "1h30m". Bare numbers, fractions and signs are
// refused.
func (d *Duration) UnmarshalText(b []byte) error {
	const example = "write 30s, 30m, 24h, 1h30m or 7d"
	text := string(b)
	switch {
	case text == "":
		return bad(example, "an empty text is not a duration")
	case text[0] == '-':
		return bad("write a duration without a sign", "%s is negative", quote(text))
	case decimal.MatchString(text):
		return bad("write "+text+"s, "+text+"m, "+text+"h or "+text+"d", "%s has no unit", quote(text))
	}
	var total time.Duration
	rest, next := text, 0
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		letters := len(rest[digits:]) - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyz"))
		if digits == 0 || letters == 0 {
			return badDuration(text, example)
		}
		name := rest[digits : digits+letters]
		at := unitIndex(name)
		if at < 0 {
			return bad("the units are w, d, h, m, s and ms, as in 1h30m", "%s has the unknown unit %s", quote(text), quote(name))
		}
		if at < next {
			return bad("write each unit once, the largest first, as in 1h30m", "%s has its units out of order", quote(text))
		}
		next = at + 1
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		size := durationUnits[at].size
		if err != nil || n > (math.MaxInt64-int64(total))/int64(size) {
			return bad("the longest duration is 106751d", "%s is too long", quote(text))
		}
		total += time.Duration(n) * size
		rest = rest[digits+letters:]
	}
	*d = Duration(total)
	return nil
}

// badDuration returns the error for an invalid text, with a hint for the usual mistakes: "30 min", "1.5h", "1D".
func badDuration(text, example string) error {
	squeezed := strings.ReplaceAll(text, " ", "")
	switch {
	case strings.ContainsAny(text, ".,") && !strings.Contains(squeezed, ".."):
		return bad("write whole numbers, as in 1h30m for one and a half hours", "%s has a fraction", quote(text))
	case strings.ToLower(text) != text && parses(strings.ToLower(text)):
		return bad("write "+strings.ToLower(text), "%s has a unit in capitals", quote(text))
	case squeezed != text && parses(squeezed):
		return bad("write "+squeezed, "%s has a space in it", quote(text))
	}
	for long, short := range map[string]string{
		"seconds": "s", "second": "s", "sec": "s", "minutes": "m", "minute": "m",
		"mins": "m", "min": "m", "hours": "h", "hour": "h", "days": "d", "day": "d", "weeks": "w", "week": "w",
	} {
		if n, ok := strings.CutSuffix(squeezed, long); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			return bad("write "+n+short, "%s is not a duration", quote(text))
		}
	}
	return bad(example, "%s is not a duration", quote(text))
}

func parses(text string) bool {
	_, err := ParseDuration(text)
	return err == nil
}

func unitIndex(name string) int {
	for i, u := range durationUnits {
		if u.name == name {
			return i
		}
	}
	return -1
}

// String prints whole days if there are at least two ("7d", but "24h"), and everything else in hours and smaller
// units ("36h", "1h30m").
func (d Duration) String() string {
	t := time.Duration(d)
	const day = 24 * time.Hour
	if t == 0 {
		return "0s"
	}
	if t == math.MinInt64 {
		return "-" + Duration(math.MaxInt64).String() // one nanosecond off: the value has no positive counterpart
	}
	if t < 0 {
		return "-" + (-d).String()
	}
	if t >= 2*day && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	var b strings.Builder
	for _, u := range durationUnits[2:] {
		if n := t / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteString(u.name)
			t -= n * u.size //nolint:durationcheck // n is a count
		}
	}
	return b.String()
}

// MarshalText returns the text of String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// JSONSchema describes the text form.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:        "string",
		Pattern:     `^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?([0-9]+us)?([0-9]+ns)?$`,
		MinLength:   ptr(2),
		Description: "A duration with units, the largest first: 30s, 30m, 24h, 1h30m, 7d, 2w.",
		Examples:    []any{"30s", "1h30m", "24h", "7d"},
	}
}

func ptr(n uint64) *uint64 { return &n }
