package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// fitHelp wraps the help of all commands for narrow terminals.
func (a *app) fitHelp(root *cobra.Command) {
	written := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		var help bytes.Buffer
		cmd.SetOut(&help)
		written(cmd, args)
		cmd.SetOut(a.stdout)
		said := help.String()
		if p := newPage(a.stdout); p.width < pageWidth {
			said = reflow(said, p.width)
		}
		io.WriteString(a.stdout, said)
	})
}

// reflow wraps a text to a width. It wraps each paragraph as a whole. It wraps a line separately if it is indented or
// contains two spaces, because such a line may be part of a table or an example.
func reflow(text string, width int) string {
	p := &page{width: width}
	var paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			p.line(strings.Join(paragraph, " "), 0)
			paragraph = nil
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if line == "" || strings.HasPrefix(line, " ") || strings.Contains(line, "  ") {
			flush()
			p.line(line, hang(line))
			continue
		}
		paragraph = append(paragraph, line)
	}
	flush()
	return p.b.String()
}

// hang returns the indent of the continuation lines of a long line. If the line is a table row, with columns
// separated by two spaces, the indent is the position of its last column, or of the third one if there are more.
// Otherwise it is the indent of the line.
func hang(line string) int {
	at := len(line) - len(strings.TrimLeft(line, " "))
	if at == 0 && !strings.Contains(line, "  ") {
		return 0
	}
	for range 2 {
		gap := strings.Index(line[at:], "  ")
		if gap < 0 {
			break
		}
		next := at + gap + len(line[at+gap:]) - len(strings.TrimLeft(line[at+gap:], " "))
		if next > 40 || next >= len(line) {
			break
		}
		at = next
	}
	return at
}
