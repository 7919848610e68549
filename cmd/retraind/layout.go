package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"github.com/retraind/retraind/internal/text"
)

const (
	pageWidth = 100 // width when not a terminal, so that mails and tickets keep the layout
	minWidth  = 60
	maxWidth  = 140
	gap       = 2 // between two columns
	keyWidth  = 11
	leastCut  = 12 // minimum width of a cut text
)

// page collects text for people: fields and tables of one width, with long texts broken between words. print removes
// the colours if the output does not show them.
type page struct {
	out   io.Writer
	width int
	b     strings.Builder
}

func newPage(out io.Writer) *page {
	p := &page{out: out, width: pageWidth}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= minWidth {
		p.width = n
	}
	if f, ok := out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = min(max(w, minWidth), maxWidth)
		}
	}
	return p
}

func (p *page) print() error {
	_, err := lipgloss.Fprint(p.out, p.b.String())
	return err
}

// line adds a line; its continuation lines are indented.
func (p *page) line(s string, indent int) {
	for i, part := range wrap(text.Terminal(s), p.width, indent) {
		if i > 0 {
			p.b.WriteString(strings.Repeat(" ", indent))
		}
		if strings.Contains(part, "\x1b") {
			part += "\x1b[m" // end a colour before the next text
		}
		p.b.WriteString(part + "\n")
	}
}

// field adds a name and its text. The texts of all fields are aligned.
func (p *page) field(name, text string) {
	p.line("  "+pad(name, keyWidth)+text, 2+keyWidth)
}

// table adds indented, aligned columns. It wraps the last column if it is too long, and leaves out empty columns.
func (p *page) table(indent int, headers []string, rows ...[]string) {
	p.columns(indent, false, headers, rows)
}

// list adds a table with one line for each row. It cuts the last column if it is too long.
func (p *page) list(headers []string, rows ...[]string) { p.columns(0, true, headers, rows) }

func (p *page) columns(indent int, oneLine bool, headers []string, rows [][]string) {
	used := make([]int, len(headers))
	for _, row := range rows {
		for i, cell := range row {
			if cell != "" {
				used[i] = max(used[i], lipgloss.Width(cell), lipgloss.Width(headers[i]))
			}
		}
	}
	faint := make([]string, len(headers))
	for i, h := range headers {
		if h != "" {
			faint[i] = lipgloss.NewStyle().Faint(true).Render(h)
		}
	}
	for _, row := range append([][]string{faint}, rows...) {
		line, left := strings.Repeat(" ", indent), indent
		for i, cell := range row {
			switch {
			case used[i] == 0:
			case i == len(row)-1 && oneLine:
				line += text.Cut(cell, max(leastCut, p.width-left)-1)
			case i == len(row)-1:
				line += cell
			default:
				line += pad(cell, used[i]+gap)
				left += used[i] + gap
			}
		}
		p.line(line, left)
	}
}

// pad pads a text, which may have colours, to a width.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
}

// wrap breaks a text between words. The lines after the first are narrower by the indent. A word longer than a line
// is kept whole, so that paths can be copied.
func wrap(text string, width, indent int) []string {
	text = strings.TrimRight(text, " ")
	var lines []string
	for room := width; ; room = width - indent {
		cut := breakAt(text, room, indent*boolInt(len(lines) == 0))
		if cut < 0 {
			return append(lines, text)
		}
		lines = append(lines, strings.TrimRight(text[:cut], " "))
		text = strings.TrimLeft(text[cut:], " ")
	}
}

// breakAt returns the byte offset of the space at which to break a text: the last space within room columns and after
// the indent, or else the first space after room columns. It returns -1 if there is no such space or if no break is
// needed.
func breakAt(text string, room, indent int) int {
	if lipgloss.Width(text) <= room {
		return -1
	}
	best := -1
	for i, r := range text {
		if r != ' ' || strings.TrimSpace(text[:i]) == "" {
			continue
		}
		at := lipgloss.Width(text[:i])
		if at < indent {
			continue
		}
		if at > room {
			if best < 0 {
				best = i
			}
			break
		}
		best = i
	}
	return best
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
