package backend

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/retraind/retraind/internal/text"
)

const (
	progressTail = 4 << 10 // bytes read from the end of a progress file
	progressText = 80      // characters of its text that are shown
)

// readProgress reads how far a command says it is, from the last line of its progress file: a share and, after a space,
// a text. It reports false where there is none. A command may replace the file or append to it; of a longer file only
// the end is read.
func readProgress(path string) (share float64, said string, ok bool) {
	// Non-blocking, because the file is the command's: a FIFO without a writer would block the reader.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, "", false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, "", false
	}
	from := max(0, info.Size()-progressTail)
	tail, err := io.ReadAll(io.NewSectionReader(f, from, progressTail))
	if err != nil {
		return 0, "", false
	}
	if from > 0 { // the first line is not whole
		_, tail, _ = bytes.Cut(tail, []byte("\n"))
	}
	return lastProgress(string(tail))
}

// lastProgress is the last line with a share. A last line without its end may be half of one that is being written: it
// counts only where it is the only one.
func lastProgress(tail string) (share float64, said string, ok bool) {
	lines := strings.FieldsFunc(tail, func(r rune) bool { return r == '\n' || r == '\r' })
	if n := len(lines); n > 1 && !strings.HasSuffix(tail, "\n") && !strings.HasSuffix(tail, "\r") {
		lines = lines[:n-1]
	}
	for i := len(lines) - 1; i >= 0; i-- {
		number, rest, _ := strings.Cut(strings.TrimSpace(lines[i]), " ")
		share, err := strconv.ParseFloat(number, 64)
		if err == nil && share >= 0 && share <= 1 {
			return share, text.OneLine(strings.TrimSpace(rest), progressText), true
		}
	}
	return 0, "", false
}
