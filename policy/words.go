package policy

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Small pieces of sentences. They avoid fmt: a decision is made in microseconds, and backtests make millions.

func share(f float64) string { return tenths(f*100, true, "%") }

func points(f float64) string {
	if math.Round(f*10) == 10 {
		return "1 point"
	}
	return tenths(f, false, " points")
}

// tenths prints one decimal, whole numbers without it unless they are wanted, and what it counts.
func tenths(f float64, always bool, what string) string {
	rounded := math.Round(f * 10)
	if !(math.Abs(rounded) < 1e15) {
		return strconv.FormatFloat(f, 'g', 4, 64) + what
	}
	var buffer [40]byte
	n, out := int64(rounded), buffer[:0]
	if n < 0 {
		n, out = -n, append(out, '-')
	}
	out = strconv.AppendInt(out, n/10, 10)
	if always || n%10 != 0 {
		out = append(out, '.', byte('0'+n%10))
	}
	return string(append(out, what...))
}

func number(f float64, digits int) string { return strconv.FormatFloat(f, 'f', digits, 64) }

func than(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// change says where a figure went since the promotion; drop is positive for a fall.
func change(what string, drop float64) string {
	switch text := points(drop); {
	case text == "0 points":
		return what + " is as at the promotion"
	case drop < 0:
		return what + " rose by " + points(-drop)
	default:
		return what + " fell by " + text
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// span is a duration for people: the two largest units, "12d", "4h12m", "38m", "5s".
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 2*day:
		if m := int(d / time.Minute % 60); m != 0 {
			return strconv.Itoa(int(d/time.Hour)) + "h" + strconv.Itoa(m) + "m"
		}
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d < 10*day:
		if h := int(d / time.Hour % 24); h != 0 {
			return strconv.Itoa(int(d/day)) + "d" + strconv.Itoa(h) + "h"
		}
	}
	return strconv.Itoa(int(d/day)) + "d"
}

// nameLength is how much of a name or an expression is shown.
const nameLength = 60

// label shows a category's name, which comes from data, on one line and at a sane length.
func label(name string) string { return oneLine(name, nameLength) }

// oneLine replaces what would break the line, and cuts what is longer than anybody reads.
func oneLine(s string, most int) string {
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return unicode.ReplacementChar
			}
			return r
		}, s)
	}
	return cutTo(s, most)
}

func cutText(s string) string { return cutTo(s, nameLength) }

func cutTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
