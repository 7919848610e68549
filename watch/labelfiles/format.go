package labelfiles

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// form is the line format of a file.
type form struct {
	end        byte   // the last byte of each line
	separators string // the possible field separators of a CSV file; "" for other files
	decode     labelevent.Row
}

// format detects the line format of a file. If the file cannot be read, it returns the cause. A carriage return alone
// ends a line only if the file is quiet, because in a file that is still being written a line feed may follow.
func (s *Source) format(name string, f io.ReaderAt, quiet bool) (out form, cause string) {
	start := make([]byte, 4<<10)
	n, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return out, explainFile(err)
	}
	start = start[:n]
	switch {
	case bytes.HasPrefix(start, []byte{0xFF, 0xFE}), bytes.HasPrefix(start, []byte{0xFE, 0xFF}):
		return out, "it is UTF-16: save it as UTF-8"
	case bytes.HasPrefix(start, []byte{0x1F, 0x8B}):
		return out, "it is compressed with gzip: give it a name that ends in .gz, or unpack it"
	case bytes.IndexByte(start, 0) >= 0:
		return out, "it is not a text file: label files are JSON Lines or CSV"
	}
	out.end = '\n'
	if quiet && bytes.IndexByte(start, '\r') >= 0 && bytes.IndexByte(start, '\n') < 0 {
		out.end = '\r'
	}
	if isCSV(name) {
		return s.csv(f, out, quiet)
	}
	out.decode = func(line []byte, now time.Time) (watch.Event, bool, error) {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\xEF\xBB\xBF")))
		if len(line) == 0 {
			return watch.Event{}, false, nil
		}
		e, err := s.decoder.Decode(line, now)
		return e, true, err
	}
	return out, ""
}

// anySeparator lists the separators that a CSV file may have.
const anySeparator = ",;\t"

// csv reads the header of a CSV file, and adds the separator and the decoder of the records to the form.
func (s *Source) csv(f io.ReaderAt, out form, quiet bool) (form, string) {
	lines := newLineReader(f, 0, out.end, anySeparator)
	raw, whole, err := lines.next()
	if quiet && err == nil && !whole && lines.ends > 0 { // a quote that is never closed: the decoder returns the cause
		raw, whole = lines.cut(), true
	}
	if errors.Is(err, io.EOF) || err == nil && !whole {
		out.separators = anySeparator
		// The header is not complete yet.
		out.decode = func([]byte, time.Time) (watch.Event, bool, error) { return watch.Event{}, false, nil }
		return out, ""
	}
	if err != nil {
		return out, explainFile(err)
	}
	decode, comma, cause := s.decoder.CSV(bytes.Clone(raw))
	out.separators, out.decode = string(comma), decode
	return out, cause
}
