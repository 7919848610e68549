package main

import (
	"fmt"
	"html"
	"strings"
)

// picture is a diagram; all sizes are in pixels.
type picture struct {
	title, description string
	width, height      int
	boxes              []box
	arrows             []arrow
}

// box is a rectangle with a title and lines of text below it. Its height follows from the lines.
type box struct {
	x, y, width int
	title       string
	lines       []string
	kind        string // CSS class: stage, outside, good or bad
}

// arrow is a line through points x, y, x, y, … with a head at its end.
type arrow struct {
	points  []int
	label   string
	at      [2]int // where the label starts
	retreat bool   // dashed: the undo steps
}

const (
	lineHeight = 17
	padding    = 10
)

func (b box) height() int { return 2*padding + lineHeight*(1+len(b.lines)) }

const style = `
text{font:13px system-ui,sans-serif;fill:#1e293b}
.title{font-weight:600}
.label{fill:#475569;font-size:12px}
rect{stroke-width:1.5;rx:6}
.stage{fill:#f1f5f9;stroke:#475569}
.outside{fill:none;stroke:#94a3b8;stroke-dasharray:5 3}
.good{fill:#dcfce7;stroke:#15803d}
.bad{fill:#fee2e2;stroke:#b91c1c}
path{fill:none;stroke:#475569;stroke-width:1.5}
.retreat{stroke-dasharray:5 3}
marker path{fill:#475569;stroke:none}
@media (prefers-color-scheme:dark){
text{fill:#e2e8f0}
.label{fill:#94a3b8}
.stage{fill:#1e293b;stroke:#94a3b8}
.outside{stroke:#64748b}
.good{fill:#14532d;stroke:#4ade80}
.bad{fill:#7f1d1d;stroke:#f87171}
path{stroke:#94a3b8}
marker path{fill:#94a3b8}
}
`

func (p picture) svg() string {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">`+"\n",
		p.width, p.height)
	fmt.Fprintf(&s, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n",
		html.EscapeString(p.title), html.EscapeString(p.description), style)
	s.WriteString(`<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" ` +
		`orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>` + "\n")
	for _, b := range p.boxes {
		fmt.Fprintf(&s, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/>`+"\n", b.kind, b.x, b.y, b.width,
			b.height())
		write(&s, "title", b.x+padding, b.y+padding+13, b.title)
		for i, line := range b.lines {
			write(&s, "label", b.x+padding, b.y+padding+13+lineHeight*(i+1), line)
		}
	}
	for _, a := range p.arrows {
		class := ""
		if a.retreat {
			class = ` class="retreat"`
		}
		fmt.Fprintf(&s, `<path%s d="M%d %d`, class, a.points[0], a.points[1])
		for i := 2; i < len(a.points); i += 2 {
			fmt.Fprintf(&s, "L%d %d", a.points[i], a.points[i+1])
		}
		s.WriteString(`" marker-end="url(#head)"/>` + "\n")
		if a.label != "" {
			write(&s, "label", a.at[0], a.at[1], a.label)
		}
	}
	s.WriteString("</svg>\n")
	return s.String()
}

func write(s *strings.Builder, class string, x, y int, text string) {
	fmt.Fprintf(s, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(text))
}
