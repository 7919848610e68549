package policy

import (
	"math"
	"strconv"

	"github.com/retraind/retraind/internal/text"
)

// nameLength is the maximum displayed length of a name or an expression.
const nameLength = 60

// label shortens and escapes a category's name for display, because the name is part of the data.
func label(name string) string { return text.OneLine(name, nameLength) }

func cutText(s string) string { return text.Cut(s, nameLength) }

func number(f float64, digits int) string { return strconv.FormatFloat(f, 'f', digits, 64) }

// choose returns `a` if `yes` is true, else `b`.
func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// threshold writes the bound of a condition after the value that it is compared with.
func threshold(bound string) string { return ", threshold " + bound }

// change describes the change of a figure since the promotion; `drop` is positive for a fall.
func change(what string, drop float64) string {
	switch {
	case math.Round(drop*10) == 0:
		return what + " is unchanged since the promotion"
	case drop < 0:
		return what + " rose by " + text.Points(-drop)
	}
	return what + " fell by " + text.Points(drop)
}
