package policy

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Small pieces of sentences. They avoid fmt: a decision with all its words is made in microseconds.

func share(f float64) string {
	var buffer [pieceLength]byte
	return string(appendShare(buffer[:0], f))
}

func points(f float64) string {
	var buffer [pieceLength]byte
	return string(appendPoints(buffer[:0], f))
}

// span is a duration for people: the two largest units, "12d", "4h12m", "38m", "5s".
func span(d time.Duration) string {
	var buffer [pieceLength]byte
	return string(appendSpan(buffer[:0], d))
}

// pieceLength is room for any number with its unit, and for a time with its date.
const pieceLength = 48

func appendShare(out []byte, f float64) []byte { return appendTenths(out, f*100, true, "%") }

func appendPoints(out []byte, f float64) []byte {
	if math.Round(f*10) == 10 {
		return append(out, "1 point"...)
	}
	return appendTenths(out, f, false, " points")
}

// appendTenths prints one decimal, whole numbers without it unless they are wanted, and what it counts.
func appendTenths(out []byte, f float64, always bool, what string) []byte {
	rounded := math.Round(f * 10)
	if !(math.Abs(rounded) < 1e15) {
		return append(strconv.AppendFloat(out, f, 'g', 4, 64), what...)
	}
	n := int64(rounded)
	if n < 0 {
		n, out = -n, append(out, '-')
	}
	out = strconv.AppendInt(out, n/10, 10)
	if always || n%10 != 0 {
		out = append(out, '.', byte('0'+n%10))
	}
	return append(out, what...)
}

func number(f float64, digits int) string { return strconv.FormatFloat(f, 'f', digits, 64) }

func than(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func appendSpan(out []byte, d time.Duration) []byte {
	part := func(n time.Duration, unit byte) { out = append(strconv.AppendInt(out, int64(n), 10), unit) }
	if d < 0 {
		out, d = append(out, '-'), -d
	}
	switch {
	case d < time.Minute:
		part(d/time.Second, 's')
	case d < time.Hour:
		part(d/time.Minute, 'm')
	case d < 2*day:
		part(d/time.Hour, 'h')
		if m := d / time.Minute % 60; m != 0 {
			part(m, 'm')
		}
	default:
		part(d/day, 'd')
		if h := d / time.Hour % 24; h != 0 && d < 10*day {
			part(h, 'h')
		}
	}
	return out
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
