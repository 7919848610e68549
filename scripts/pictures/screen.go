package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// screen emulates a terminal: it converts what the demo prints, including the control sequences, into rows of cells.
type screen struct {
	width    int
	cells    [][]cell
	row, col int
	look     look
	rest     []byte // the beginning of a rune or a sequence whose end is still missing
}

type cell struct {
	r    rune
	look look
}

// look is how a cell is shown. Colour 0 is the default, n is the terminal's colour n-1.
type look struct {
	colour      int
	bold, faint bool
}

func newScreen(width, height int) *screen {
	s := &screen{width: width, cells: make([][]cell, height)}
	for i := range s.cells {
		s.cells[i] = blank(width)
	}
	return s
}

func blank(width int) []cell { return slices.Repeat([]cell{{r: ' '}}, width) }

var (
	sequence  = regexp.MustCompile(`^\x1b\[([?0-9;]*)([A-Za-z])`)
	beginning = regexp.MustCompile(`^\x1b(\[[?0-9;]*)?$`)
)

// write shows output. A sequence that the screen does not know is an error, since the picture would be wrong.
func (s *screen) write(data []byte) error {
	data = append(s.rest, data...)
	for len(data) > 0 {
		if data[0] == '\x1b' {
			m := sequence.FindSubmatch(data)
			if m == nil {
				if beginning.Match(data) {
					break
				}
				return fmt.Errorf("control sequence %.20q is not known", data)
			}
			if err := s.control(m[2][0], string(m[1])); err != nil {
				return err
			}
			data = data[len(m[0]):]
			continue
		}
		if !utf8.FullRune(data) {
			break
		}
		r, size := utf8.DecodeRune(data)
		s.put(r)
		data = data[size:]
	}
	s.rest = bytes.Clone(data)
	return nil
}

// put shows one rune. A full row continues in the next one.
func (s *screen) put(r rune) {
	switch r {
	case '\r':
		s.col = 0
		return
	case '\n':
		s.down()
		return
	}
	if s.col == s.width {
		s.col = 0
		s.down()
	}
	s.cells[s.row][s.col] = cell{r, s.look}
	s.col++
}

// down moves to the next row. On the last row it scrolls all rows up.
func (s *screen) down() {
	if s.row+1 < len(s.cells) {
		s.row++
		return
	}
	s.cells = append(s.cells[1:], blank(s.width))
}

func (s *screen) control(kind byte, text string) error {
	var n []int
	for _, field := range strings.Split(text, ";") {
		number, err := strconv.Atoi(field)
		if err != nil && field != "" && !strings.HasPrefix(field, "?") {
			return fmt.Errorf("control sequence %s%c: %w", text, kind, err)
		}
		n = append(n, number)
	}
	switch kind {
	case 'm':
		return s.sgr(n)
	case 'A':
		s.row = max(0, s.row-max(1, n[0]))
	case 'H':
		n = append(n, 1)
		s.row, s.col = min(max(1, n[0]), len(s.cells))-1, min(max(1, n[1]), s.width)-1
	case 'K':
		copy(s.cells[s.row][s.col:], blank(s.width))
	case 'J':
		if n[0] == 0 {
			copy(s.cells[s.row][s.col:], blank(s.width))
		}
		for i := range s.cells {
			if i > s.row || n[0] == 2 {
				s.cells[i] = blank(s.width)
			}
		}
	case 'h', 'l': // modes, such as the cursor's visibility
	default:
		return fmt.Errorf("control sequence %s%c is not known", text, kind)
	}
	return nil
}

// sgr changes the look.
func (s *screen) sgr(n []int) error {
	for i := 0; i < len(n); i++ {
		switch c := n[i]; {
		case c == 0:
			s.look = look{}
		case c == 1:
			s.look.bold = true
		case c == 2:
			s.look.faint = true
		case c == 22:
			s.look.bold, s.look.faint = false, false
		case c >= 30 && c <= 37:
			s.look.colour = 1 + c - 30
		case c == 39:
			s.look.colour = 0
		case c >= 90 && c <= 97:
			s.look.colour = 1 + 8 + c - 90
		case c == 38 && i+2 < len(n) && n[i+1] == 5:
			s.look.colour = 1 + n[i+2]
			i += 2
		default:
			return fmt.Errorf("text attributes %v are not known", n)
		}
	}
	return nil
}

// span is a part of a row in one look.
type span struct {
	col  int
	text string
	look look
}

// spans divides a row into spans. A blank inside a span takes its look. Blanks at the start of the row and at the end
// of a span are left out.
func spans(row []cell) []span {
	var list []span
	for col, c := range row {
		last := len(list) - 1
		if last >= 0 && (c.r == ' ' || c.look == list[last].look) {
			list[last].text += string(c.r)
			continue
		}
		if c.r == ' ' {
			continue
		}
		list = append(list, span{col, string(c.r), c.look})
	}
	for i := range list {
		list[i].text = strings.TrimRight(list[i].text, " ")
	}
	return list
}

// ansi returns the row as output for a terminal.
func ansi(row []cell) string {
	var b strings.Builder
	col := 0
	for _, p := range spans(row) {
		b.WriteString(strings.Repeat(" ", p.col-col))
		col = p.col + utf8.RuneCountInString(p.text)
		codes := ""
		if p.look.bold {
			codes += ";1"
		}
		if p.look.faint {
			codes += ";2"
		}
		if p.look.colour > 0 {
			codes += fmt.Sprintf(";38;5;%d", p.look.colour-1)
		}
		if codes == "" {
			b.WriteString(p.text)
			continue
		}
		b.WriteString("\x1b[" + codes[1:] + "m" + p.text + "\x1b[0m")
	}
	return b.String()
}
