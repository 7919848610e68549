package watch

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"
)

// splitter cuts a file into lines, or into records of CSV, whose quoted fields may contain ends of lines. It holds one
// line in memory; a longer one than an event may be is passed over.
type splitter struct {
	f       io.ReaderAt
	r       *bufio.Reader
	quotes  bool   // CSV
	offset  int64  // of the line
	raw     []byte // the line, or its beginning
	size    int64  // of the whole line
	ends    int    // ends of lines in it
	lines   int    // lines taken since this was last set to 0
	stopped bool
}

func newSplitter(f io.ReaderAt, offset int64, quotes bool) *splitter {
	return &splitter{f: f, r: bufio.NewReaderSize(io.NewSectionReader(f, offset, 1<<62-offset), 64<<10), quotes: quotes, offset: offset}
}

// next returns the next line with its end, and whether it has one. The bytes are valid until the next call. A line that
// is too long is nil. io.EOF means that nothing is left, or nothing that can be told yet.
func (s *splitter) next() (raw []byte, whole bool, err error) {
	s.raw, s.size, s.ends = s.raw[:0], 0, 0
	open := false // a quoted field
	for !s.stopped {
		part, err := s.r.ReadSlice('\n')
		s.size += int64(len(part))
		long := s.size > maxEvent+1
		if !long {
			s.raw = append(s.raw, part...)
		}
		if s.quotes && bytes.Count(part, []byte{'"'})%2 == 1 {
			open = !open
		}
		switch {
		case errors.Is(err, io.EOF):
			s.stopped = true
			if s.size == 0 || long {
				return nil, false, io.EOF
			}
			return s.raw, false, nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, false, err
		}
		s.ends++
		switch {
		case long: // also where a quote is never closed
			return nil, true, nil
		case !open:
			return s.raw, true, nil
		}
	}
	return nil, false, io.EOF
}

// unread leaves the line for later, and with it all that follows.
func (s *splitter) unread() { s.stopped = true }

// take counts the line as read.
func (s *splitter) take(h hash.Hash) error {
	if int64(len(s.raw)) == s.size {
		h.Write(s.raw) // a hash never fails to write
	} else if _, err := io.Copy(h, io.NewSectionReader(s.f, s.offset, s.size)); err != nil {
		return err
	}
	s.offset += s.size
	s.lines += max(1, s.ends)
	return nil
}

// table reads the header of a CSV file and returns how its records are read, or what is wrong with it.
func (d *Decoder) table(name string, f io.ReaderAt) (decode func([]byte, time.Time) (Event, bool, error), cause string) {
	raw, whole, err := newSplitter(f, 0, true).next()
	if errors.Is(err, io.EOF) || err == nil && !whole {
		return func([]byte, time.Time) (Event, bool, error) { return Event{}, false, nil }, "" // nothing yet
	}
	if err != nil {
		return nil, explainFile(err)
	}
	header := bytes.Clone(raw)
	comma := separator(header, d.id)
	columns, err := record(header, comma)
	if err != nil {
		return nil, "its first line is not a CSV header: " + err.Error()
	}
	own, cause := d.forColumns(columns)
	if cause != "" {
		return nil, cause
	}
	first := true
	return func(line []byte, now time.Time) (Event, bool, error) {
		if first && bytes.Equal(line, header) {
			first = false
			return Event{}, false, nil
		}
		first = false
		if len(bytes.TrimSpace(line)) == 0 {
			return Event{}, false, nil
		}
		fields, err := record(line, comma)
		if err != nil {
			return Event{}, false, err
		}
		if len(fields) != len(columns) {
			return Event{}, false, fmt.Errorf("%d fields, the header has %d", len(fields), len(columns))
		}
		object := make(map[string]any, len(fields))
		for i, column := range columns {
			if fields[i] != "" || own.isText(column) {
				object[column] = fields[i]
			}
		}
		e, err := own.event(object, now)
		return e, true, err
	}, ""
}

// separator is the one of comma, semicolon and tab that finds the column of the id in the header.
func separator(header []byte, id string) rune {
	for _, comma := range []rune{',', ';', '\t'} {
		if columns, err := record(header, comma); err == nil && slices.Contains(columns, id) {
			return comma
		}
	}
	return ','
}

func record(raw []byte, comma rune) ([]string, error) {
	if len(raw) > maxEvent {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(raw), maxEvent)
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\xEF\xBB\xBF"))))
	r.Comma = comma
	fields, err := r.Read()
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("not CSV: %w", bad.Err)
	}
	if err != nil {
		return nil, err
	}
	for _, field := range fields {
		if strings.ToValidUTF8(field, "") != field {
			return nil, errors.New("it is not valid UTF-8 (convert it, for example with iconv)")
		}
	}
	return fields, nil
}

// forColumns is the decoder for a header. Several targets have columns of their own names where nothing else is said.
func (d *Decoder) forColumns(columns []string) (own *Decoder, cause string) {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = cut(c)
	}
	has := func(name string) bool { return slices.Contains(columns, name) }
	if !has(d.id) {
		return nil, fmt.Sprintf("its header has no column %q, but %s (name the column of the id under labels.files.id)", d.id, strings.Join(list, ", "))
	}
	copied := *d
	own = &copied
	if own.labels == nil && d.only == "" {
		own.labels = map[string]string{}
		for target := range d.targets {
			if has(target) {
				own.labels[target] = target
			}
		}
	}
	says := has(d.label) || d.text == nil && has("text")
	for _, paths := range []map[string]string{d.text, own.labels} {
		for _, column := range paths {
			says = says || has(column)
		}
	}
	if !says {
		return nil, fmt.Sprintf("its header has neither a column of a text nor one of a label, but %s (name them under text and label of labels.files)", strings.Join(list, ", "))
	}
	return own, ""
}

// isText tells whether a column holds a text, which may be empty; an empty cell elsewhere says nothing.
func (d *Decoder) isText(column string) bool {
	if d.text == nil {
		return column == "text"
	}
	for _, path := range d.text {
		if path == column {
			return true
		}
	}
	return false
}
