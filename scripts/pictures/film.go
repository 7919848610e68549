package main

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// Sizes of the film in pixels.
const (
	cellWidth, cellHeight = 8, 17
	margin                = 16
	lastFrame             = 8 // seconds for which the end is shown
)

// palette has the terminal's colours, each for a light and a dark background. Blends of them are not used.
var palette = map[int][2]string{
	1: {"#b91c1c", "#f87171"}, 2: {"#15803d", "#4ade80"}, 3: {"#a16207", "#facc15"}, 4: {"#1d4ed8", "#60a5fa"},
	5: {"#7e22ce", "#c084fc"}, 6: {"#0e7490", "#22d3ee"}, 14: {"#0e7490", "#22d3ee"}, 242: {"#94a3b8", "#64748b"},
}

// film draws the frames of a recording one after the other, by a CSS animation: all frames are on a strip that moves up
// behind a window. A row that several frames show is stored once. Readers who want no motion see the end.
func film(h castHeader, frames []frame, description string) (string, error) {
	width, height := margin*2+h.Width*cellWidth, margin*2+h.Height*cellHeight
	rows, strip := map[string]int{}, strings.Builder{}
	var defs strings.Builder
	for n, f := range frames {
		for i, row := range f.rows {
			text, err := rowSVG(row)
			if err != nil {
				return "", err
			}
			if text == "" {
				continue
			}
			id, known := rows[text]
			if !known {
				id = len(rows)
				rows[text] = id
				fmt.Fprintf(&defs, `<text id="r%d">%s</text>`+"\n", id, text)
			}
			fmt.Fprintf(&strip, `<use href="#r%d" y="%d"/>`, id, n*h.Height*cellHeight+(i+1)*cellHeight-4)
		}
		strip.WriteString("\n")
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">`+"\n",
		width, height)
	fmt.Fprintf(&s, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n",
		html.EscapeString(h.Title), html.EscapeString(description), filmStyle(h, frames))
	fmt.Fprintf(&s, "<defs>\n%s</defs>\n", defs.String())
	fmt.Fprintf(&s, `<rect class="terminal" x=".5" y=".5" width="%d" height="%d" rx="8"/>`+"\n", width-1, height-1)
	fmt.Fprintf(&s, `<svg x="%d" y="%d" width="%d" height="%d"><g class="film">`+"\n", margin, margin, width-2*margin,
		height-2*margin)
	s.WriteString(strip.String() + "</g></svg>\n</svg>\n")
	return s.String(), nil
}

// rowSVG returns the content of a row as SVG, "" for an empty row. Each span begins at its column in any font.
func rowSVG(row []cell) (string, error) {
	var s strings.Builder
	for _, p := range spans(row) {
		var classes []string
		if p.look.bold {
			classes = append(classes, "b")
		}
		if p.look.faint {
			classes = append(classes, "f")
		}
		if p.look.colour > 0 {
			if _, ok := palette[p.look.colour-1]; !ok {
				return "", fmt.Errorf("colour %d is not in the palette", p.look.colour-1)
			}
			classes = append(classes, fmt.Sprintf("c%d", p.look.colour-1))
		}
		class := ""
		if len(classes) > 0 {
			class = fmt.Sprintf(` class="%s"`, strings.Join(classes, " "))
		}
		fmt.Fprintf(&s, `<tspan%s x="%d" textLength="%d">%s</tspan>`, class, p.col*cellWidth,
			utf8.RuneCountInString(p.text)*cellWidth, html.EscapeString(p.text))
	}
	return s.String(), nil
}

func filmStyle(h castHeader, frames []frame) string {
	var s strings.Builder
	s.WriteString(`
text{font:13.3px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre;fill:#1e293b}
.terminal{fill:#f8fafc;stroke:#cbd5e1}
.b{font-weight:700}
.f{fill:#64748b}
`)
	colours := ""
	for c := range 256 {
		if pair, ok := palette[c]; ok {
			fmt.Fprintf(&s, ".c%d{fill:%s}\n", c, pair[0])
			colours += fmt.Sprintf(".c%d{fill:%s}\n", c, pair[1])
		}
	}
	s.WriteString("@media (prefers-color-scheme:dark){\ntext{fill:#e2e8f0}\n.terminal{fill:#0f172a;stroke:#334155}\n" +
		".f{fill:#94a3b8}\n" + colours + "}\n")
	start, end := frames[0].at, frames[len(frames)-1].at+lastFrame
	s.WriteString("@keyframes film{\n")
	for n, f := range frames {
		fmt.Fprintf(&s, "%.2f%%{transform:translateY(%dpx)}\n", 100*(f.at-start)/(end-start), -n*h.Height*cellHeight)
	}
	last := -(len(frames) - 1) * h.Height * cellHeight
	fmt.Fprintf(&s, "100%%{transform:translateY(%dpx)}\n}\n", last)
	fmt.Fprintf(&s, ".film{transform:translateY(%dpx);animation:film %.1fs step-end infinite}\n", last, end-start)
	s.WriteString("@media (prefers-reduced-motion:reduce){.film{animation:none}}\n")
	return s.String()
}
