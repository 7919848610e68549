// Package text puts values into the words that people read: durations, shares, counts, instants, and data that has to
// fit on one line.
//
// It owns one form of each. Everything is a pure function, safe for any goroutine. It never decides what is said, only how.
package text

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Share writes a fraction as percent with one decimal: "85.0%".
func Share(f float64) string { return strconv.FormatFloat(math.Round(f*1000)/10, 'f', 1, 64) + "%" }

// Points writes a difference in percentage points with at most one decimal: "3 points", "1.5 points", "1 point".
func Points(f float64) string {
	rounded := math.Round(f*10) / 10
	if rounded == 1 {
		return "1 point"
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64) + " points"
}

// Plural counts: "1 label", "2 labels".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Span writes a duration with its two largest units: "12d", "4h12m", "38m", "5s".
func Span(d time.Duration) string {
	if d < 0 {
		return "-" + Span(-d)
	}
	const day = 24 * time.Hour
	part := func(n time.Duration, unit string) string { return strconv.FormatInt(int64(n), 10) + unit }
	switch {
	case d < time.Minute:
		return part(d/time.Second, "s")
	case d < time.Hour:
		return part(d/time.Minute, "m")
	case d < 2*day:
		if minutes := d / time.Minute % 60; minutes != 0 {
			return part(d/time.Hour, "h") + part(minutes, "m")
		}
		return part(d/time.Hour, "h")
	}
	if hours := d / time.Hour % 24; hours != 0 && d < 10*day {
		return part(d/day, "d") + part(hours, "h")
	}
	return part(d/day, "d")
}

// Clock writes an instant as a zone's clock shows it, with the date where it is another day than now.
func Clock(t, now time.Time, loc *time.Location) string {
	t, now = t.In(loc), now.In(loc)
	layout := "15:04"
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		layout = "Mon 2006-01-02 15:04"
	}
	if t.Second() != 0 {
		layout += ":05"
	}
	return t.Format(layout + " MST")
}

// Cut shortens a text to so many characters and marks where it was cut.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// OneLine replaces control characters, which would break the line, and cuts the text like Cut.
func OneLine(s string, most int) string {
	return Cut(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s), most)
}
