package policy

import (
	"strconv"
	"time"
)

// Small pieces of sentences. They avoid fmt: a decision is made in microseconds, and backtests make millions.

func share(f float64) string { return strconv.FormatFloat(f*100, 'f', 1, 64) + "%" }

func points(f float64) string {
	text := strconv.FormatFloat(f, 'f', 1, 64)
	if text == "1.0" {
		return "1 point"
	}
	if n := len(text); text[n-2:] == ".0" {
		text = text[:n-2]
	}
	return text + " points"
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
	case text == "0 points" || text == "-0 points":
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
