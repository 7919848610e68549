package progress

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/retraind/retraind/internal/text"
)

const (
	// Tail is how many bytes are read from the end of a file or of the output.
	Tail  = 16 << 10
	shown = 80 // longest kept text, in characters
)

// readFile reads the progress from the last line of a command's progress file: a share and, after a space, a text. It
// reports false if there is none. A command may replace the file or append to it; only the last Tail bytes are read.
func readFile(path string) (Progress, bool) {
	tail, err := readEnd(path)
	if err != nil {
		return Progress{}, false
	}
	return lastShare(tail)
}

// lastShare returns the progress in the last line that begins with a share. A last line without a line end may be
// incomplete: it counts only if there is no other line.
func lastShare(tail []byte) (Progress, bool) {
	whole := string(afterCut(tail))
	lines := strings.FieldsFunc(whole, isEnd)
	if n := len(lines); n > 1 && !isEnd(rune(whole[len(whole)-1])) {
		lines = lines[:n-1]
	}
	for i := len(lines) - 1; i >= 0; i-- {
		number, rest, _ := strings.Cut(strings.TrimSpace(lines[i]), " ")
		share, err := strconv.ParseFloat(number, 64)
		if err == nil && share >= 0 && share <= 1 {
			return Progress{Share: &share, Text: text.OneLine(strings.TrimSpace(rest), shown)}, true
		}
	}
	return Progress{}, false
}

// afterCut drops the first line of a tail that was cut off at Tail bytes, since this line may be incomplete.
func afterCut(tail []byte) []byte {
	if len(tail) < Tail {
		return tail
	}
	if i := bytes.IndexAny(tail, "\r\n"); i >= 0 {
		return tail[i+1:]
	}
	return nil
}

// isEnd reports whether a rune ends a line. A carriage return does too: a progress bar prints it to overwrite its line.
func isEnd(r rune) bool { return r == '\n' || r == '\r' }
