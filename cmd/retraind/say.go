package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/retraind/retraind/internal/text"
)

// say prints one line. Names, labels, reasons and answers in it are untrusted: characters that could end the line,
// move the cursor or reorder the text are replaced.
func say(out io.Writer, format string, args ...any) {
	fmt.Fprintln(out, text.Visible(fmt.Sprintf(format, args...)))
}

// sayLines prints a text of several lines, with the same characters replaced as by say.
func sayLines(out io.Writer, said string) error {
	var b strings.Builder
	for line := range strings.Lines(said) {
		line, ended := strings.CutSuffix(line, "\n")
		b.WriteString(text.Visible(line))
		if ended {
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// plainOutput converts a command's output for people. It removes colours, and puts each redrawn state of a line on a
// separate line.
func plainOutput(said string) string {
	said = colours.ReplaceAllString(said, "")
	said = strings.ReplaceAll(redrawn.ReplaceAllString(said, "$1\n"), "\r", "\n")
	var b strings.Builder
	_ = sayLines(&b, strings.ReplaceAll(said, "\t", "    ")) // a Builder accepts everything
	return b.String()
}

// redrawn matches a line end with the carriage returns around it, because these carriage returns redraw nothing.
var redrawn = regexp.MustCompile(`\r*(\n*)\n\r*`)

// colours matches the sequences by which programs colour their output and erase the rest of a line.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*[mK]")
