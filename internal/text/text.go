// Package text formats values for people: durations, shares, counts, instants, and data that has to fit on one
// line.
//
// It has one format for each kind of value. Everything is a pure function, safe for any goroutine; the time and the
// zone are arguments. It never parses what it has formatted.
package text

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Points writes a difference in percentage points with at most one decimal: "3 points", "1.5 points", "1 point".
func Points(f float64) string {
	rounded := math.Round(f*10) / 10
	if rounded == 1 {
		return "1 point"
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64) + " points"
}

// Percent writes a fraction with one decimal: "87.1%".
func Percent(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "not a number"
	}
	return strconv.FormatFloat(math.Round(f*1000)/10, 'f', 1, 64) + "%"
}

// Count groups thousands: "14,195".
func Count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Plural writes a number with a noun: "1 label", "14,195 labels".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Span writes a duration with one or two units: "12d", "4h12m", "38m", "5s".
func Span(d time.Duration) string {
	if d < 0 {
		return "-" + Span(d.Abs())
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

// Elapsed writes how long something took, for tables and pages, with one or two units: "4.2 s", "4 min 10 s",
// "4 h 12 min", "9 d 3 h". Span is for sentences, which write durations as the configuration does.
func Elapsed(d time.Duration) string {
	two := func(large time.Duration, largeUnit string, small time.Duration, smallUnit string) string {
		out := strconv.Itoa(int(large)) + " " + largeUnit
		if small != 0 {
			out += " " + strconv.Itoa(int(small)) + " " + smallUnit
		}
		return out
	}
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return two(d/time.Second, "s", 0, "")
	case d < time.Hour:
		return two(d/time.Minute, "min", d/time.Second%60, "s")
	case d < 48*time.Hour:
		return two(d/time.Hour, "h", d/time.Minute%60, "min")
	}
	return two(d/(24*time.Hour), "d", d/time.Hour%24, "h")
}

// Distance writes the time until or since an instant, with one unit: "38 s", "4 min", "12 h", "9 d".
func Distance(d time.Duration) string {
	switch d = d.Abs(); {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return strconv.Itoa(int(d.Hours())/24) + " d"
}

// Clock writes the local time of an instant in a zone. It adds the date if the instant is not on the same day as now.
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

// Cut returns at most the given number of a text's first characters, and a mark "…" if it has cut the text.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// Brief returns at most the given number of characters of a text's first line, cut between two words if possible. If
// text was left out, it adds the mark " …".
func Brief(s string, most int) string {
	s = strings.TrimSpace(s)
	line, _, cut := strings.Cut(s, "\n")
	line = strings.TrimSpace(line)
	if r := []rune(line); len(r) > most {
		line, cut = string(r[:most]), true
		if i := strings.LastIndexByte(line, ' '); i > len(line)/2 {
			line = line[:i]
		}
	}
	if cut {
		line = strings.TrimRight(line, " ,;:.") + " …"
	}
	return line
}

// Capital changes the first letter of a sentence to a capital letter.
func Capital(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if first == utf8.RuneError {
		return s
	}
	return string(unicode.ToUpper(first)) + s[n:]
}

// RunID returns the end of a run's id. Commands accept it in place of the whole id.
func RunID(id string) string { return id[max(0, len(id)-8):] }

// Digest returns the start of a digest: "c77257c2bee0" for a sha256, "adopted:c77257c2" for any other kind.
func Digest(digest string) string {
	kind, hex, ok := strings.Cut(digest, ":")
	switch {
	case !ok:
		return digest[:min(12, len(digest))]
	case kind == "sha256":
		return hex[:min(12, len(hex))]
	}
	return kind + ":" + hex[:min(8, len(hex))]
}

// OneLine replaces the same characters as Visible, and cuts the text like Cut.
func OneLine(s string, most int) string { return Cut(Visible(s), most) }

// Visible replaces characters that would change how the rest of a line is shown: control characters, which can end
// the line or control a terminal, and invisible characters that reorder text. It is called for names, labels and
// messages from outside before they are printed.
func Visible(s string) string {
	if !strings.ContainsFunc(s, invisible) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func invisible(r rune) bool {
	switch r {
	case '\u00ad', '\u200c', '\u200d': // soft hyphen and joiners: letters of words in many languages
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// Terminal replaces the same characters as Visible, but keeps sequences that only set a colour or a weight, because
// retraind writes such sequences. It replaces a sequence that would hide text or give it the colour of the
// background.
func Terminal(s string) string {
	if !strings.ContainsFunc(s, invisible) {
		return s
	}
	var b strings.Builder
	for {
		at := sgr.FindStringIndex(s)
		if at == nil {
			return b.String() + Visible(s)
		}
		b.WriteString(Visible(s[:at[0]]) + s[at[0]:at[1]])
		s = s[at[1]:]
	}
}

// sgr matches a sequence that sets a weight, or a colour that is visible on black and on white, or that resets both.
var sgr = regexp.MustCompile("\x1b\\[(?:(?:0|1|2|3[1-6]|9[0-6])(?:;(?:1|2|3[1-6]|9[0-6]))*)?m")
