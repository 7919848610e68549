package unit

import (
	"fmt"
	"regexp"

	"github.com/invopop/jsonschema"
)

// Clock is a time of day in seconds since midnight, 0 to 86399, written "22:00" or "22:00:15".
type Clock int32

// Hour returns the hour, 0 to 23.
func (c Clock) Hour() int { return int(c) / 3600 }

// Minute returns the minute of the hour.
func (c Clock) Minute() int { return int(c) / 60 % 60 }

// Second returns the second of the minute.
func (c Clock) Second() int { return int(c) % 60 }

var (
	clock     = regexp.MustCompile(`^([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?$`)
	clockLike = regexp.MustCompile(`^([0-9]{1,2})(?:[.h]([0-9]{2}))?( *(?:Uhr|h))?$`)
)

// UnmarshalText accepts HH:MM and HH:MM:SS from 00:00 to 23:59:59.
func (c *Clock) UnmarshalText(b []byte) error {
	const example = `write "22:00" or "22:00:15"`
	text := string(b)
	m := clock.FindStringSubmatch(text)
	if m == nil {
		if like := clockLike.FindStringSubmatch(text); like != nil && atoi(like[1]) < 24 && atoi(like[2]) < 60 {
			return bad(fmt.Sprintf(`write "%02d:%02d"`, atoi(like[1]), atoi(like[2])), "%s is not a time of day", quote(text))
		}
		return bad(example, "%s is not a time of day", quote(text))
	}
	h, min, sec := atoi(m[1]), atoi(m[2]), atoi(m[3])
	switch {
	case h == 24 && min == 0 && sec == 0:
		return bad(`write "00:00"; a window that ends there ends at midnight`, "%s is not a time of day", quote(text))
	case h > 23 || min > 59 || sec > 59:
		return bad(`times of day run from "00:00" to "23:59:59"`, "%s is not a time of day", quote(text))
	case len(m[1]) == 1:
		return bad(`write "0`+text+`"`, "%s has only one digit for the hour", quote(text))
	}
	*c = Clock(h*3600 + min*60 + sec)
	return nil
}

// atoi reads at most two digits; an absent part is 0.
func atoi(digits string) int {
	n := 0
	for _, d := range digits {
		n = 10*n + int(d-'0')
	}
	return n
}

// String prints the seconds only if they are not zero.
func (c Clock) String() string {
	if c.Second() == 0 {
		return fmt.Sprintf("%02d:%02d", c.Hour(), c.Minute())
	}
	return fmt.Sprintf("%02d:%02d:%02d", c.Hour(), c.Minute(), c.Second())
}

// MarshalText returns the text of String.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// JSONSchema describes the text form.
func (Clock) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:        "string",
		Pattern:     `^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$`,
		Description: "A time of day on the wall clock: 22:00 or 22:00:15.",
		Examples:    []any{"22:00", "22:00:15"},
	}
}
