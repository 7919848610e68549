package progress

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/retraind/retraind/internal/text"
)

const (
	// Tail is how many bytes are looked at, from the end of a file or of an output.
	Tail  = 16 << 10
	shown = 80 // characters of a text that are shown
)

// readFile reads how far a command says it is, from the last line of its progress file: a share and, after a space, a
// text. It reports false where there is none. A command may replace the file or append to it; of a longer file only the
// end is read.
func readFile(path string) (Progress, bool) {
	tail, err := readEnd(path)
	if err != nil {
		return Progress{}, false
	}
	return lastShare(tail)
}

// lastShare is the last line with a share. A last line without its end may be half of one that is being written: it
// counts only where it is the only one.
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

// afterCut leaves out the first line of a tail that may begin in the middle of one.
func afterCut(tail []byte) []byte {
	if len(tail) < Tail {
		return tail
	}
	if i := bytes.IndexAny(tail, "\r\n"); i >= 0 {
		return tail[i+1:]
	}
	return nil
}

// isEnd: a carriage return ends a line too, since bars are drawn over each other with it.
func isEnd(r rune) bool { return r == '\n' || r == '\r' }
