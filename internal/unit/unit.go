// Package unit contains the scalar types of the configuration that have a unit: durations, shares, points, sizes,
// rates and times of day.
//
// It defines their text form, which is the same in YAML, JSON and messages: for a valid value, UnmarshalText accepts
// what String prints. Everything here is a plain value, safe to copy and to share. A unit is never guessed: a duration
// or a size without a unit is an error whose hint shows the correct form. Fractions (0.85) and points need no unit.
package unit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Error reports that a text is not a value of its type, and what to write instead.
type Error struct {
	Message string // with the bad text: "\"30\" has no unit"
	Hint    string // the cure: "write 30s, 30m, 30h or 30d"
}

// Error returns the message and the cure as one text.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

// Parts returns the message and the cure separately.
func (e *Error) Parts() (message, hint string) { return e.Message, e.Hint }

func bad(hint, format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...), Hint: hint}
}

// decimal is the only accepted form of a number: no sign, no exponent, no leading zeros, no digit separators.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// number parses a plain decimal and explains the usual mistakes. `write` is the format of the expected form, with "%s"
// for the number. example is the hint if the text contains no usable number.
func number(text, num, write, example string) (float64, error) {
	cure := func(n string) string { return "write " + fmt.Sprintf(write, n) }
	switch low := strings.ToLower(strings.TrimLeft(num, "+-.")); {
	case low == "nan" || low == "inf" || low == "infinity":
		return 0, bad(example, "%s is not a finite number", quote(text))
	case strings.HasPrefix(num, "-"):
		return 0, bad(cure(strings.TrimSpace(num[1:])), "%s is negative", quote(text))
	case strings.Contains(num, ",") && decimal.MatchString(strings.Replace(num, ",", ".", 1)):
		return 0, bad(cure(strings.Replace(num, ",", ".", 1)), "%s has a decimal comma", quote(text))
	case strings.HasPrefix(num, ".") && decimal.MatchString("0"+num):
		return 0, bad(cure("0"+num), "%s has no digit before the point", quote(text))
	case strings.HasPrefix(num, "0") && decimal.MatchString(trimZeros(num)):
		if !decimal.MatchString(num) {
			return 0, bad(cure(trimZeros(num)), "%s has leading zeros", quote(text))
		}
	case !decimal.MatchString(num):
		return 0, bad(example, "%s is not a number", quote(text))
	}
	v, err := strconv.ParseFloat(num, 64)
	if err != nil { // out of range: the grammar has been checked
		return 0, bad("", "%s is too large", quote(text))
	}
	return v, nil
}

func trimZeros(num string) string {
	num = strings.TrimLeft(num, "0")
	if num == "" || num[0] == '.' {
		return "0" + num
	}
	return num
}

// quote quotes a text for a message and cuts it, so that no message can grow without bound.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
