package labelfiles

import (
	"bufio"
	"errors"
	"hash"
	"io"

	"github.com/retraind/retraind/watch/labelevent"
)

// lineReader cuts a file into lines, or into CSV records, whose quoted fields may contain line ends. It keeps one
// line in memory and skips the content of lines that are longer than an event may be.
type lineReader struct {
	f      io.ReaderAt
	r      *bufio.Reader
	end    byte    // of a line: '\n', or '\r' (see Source.format)
	csv    *record // nil in other files
	offset int64   // of the line
	raw    []byte  // the line, or its beginning
	size   int64   // of the whole line
	first  int64   // size of the first line of a record
	ends   int     // number of line ends in the record so far
	lines  int     // lines taken since this was last set to 0
	again  bool    // seek to offset before the next read, because r has already read beyond it
	done   bool
}

// newLineReader returns a reader that begins at an offset. separators are the field separators of a CSV file, "" for
// other files.
func newLineReader(f io.ReaderAt, offset int64, end byte, separators string) *lineReader {
	s := &lineReader{f: f, end: end, offset: offset}
	if separators != "" {
		s.csv = &record{separators: separators}
	}
	s.r = bufio.NewReaderSize(s.rest(), 64<<10)
	return s
}

func (s *lineReader) rest() io.Reader { return io.NewSectionReader(s.f, s.offset, 1<<62-s.offset) }

// next returns the next line with its line end, and whether it has a line end. The bytes are valid until the next
// call. For a line that is too long it returns nil. io.EOF means that no line is left, or only the beginning of a line
// that is too long.
//
// If the quotes of a record are malformed, only its first line is returned and the following lines are read
// separately, so that one bad row does not spoil the good ones after it.
func (s *lineReader) next() (raw []byte, whole bool, err error) {
	if s.done {
		return nil, false, io.EOF
	}
	if s.again {
		s.r.Reset(s.rest())
	}
	s.raw, s.size, s.first, s.ends, s.again = s.raw[:0], 0, 0, 0, false
	if s.csv != nil {
		s.csv.begin(s.offset == 0)
	}
	for {
		part, err := s.r.ReadSlice(s.end)
		s.size += int64(len(part))
		long := s.size > labelevent.MaxEvent+1
		if !long {
			s.raw = append(s.raw, part...)
		}
		if s.csv != nil {
			s.csv.read(part)
		}
		switch {
		case long && s.ends > 0: // a quote that is never closed
			return s.cut(), true, nil
		case errors.Is(err, io.EOF):
			s.done = true
			if s.size == 0 || long {
				return nil, false, io.EOF
			}
			return s.raw, false, nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, false, err
		}
		if s.ends++; s.ends == 1 {
			s.first = s.size
		}
		switch {
		case long:
			return nil, true, nil
		case s.csv != nil && s.csv.bad():
			return s.cut(), true, nil
		case s.csv == nil || !s.csv.open():
			return s.raw, true, nil
		}
	}
}

// cut ends the record after its first line, so that the next line is read separately.
func (s *lineReader) cut() []byte {
	if s.ends == 0 {
		return s.raw
	}
	s.again, s.done = s.again || s.size > s.first, false
	s.raw, s.size, s.ends = s.raw[:s.first], s.first, 1
	return s.raw
}

// unread leaves this line and all that follow for a later read.
func (s *lineReader) unread() { s.done = true }

// take counts the line as read, and adds its bytes to the hash.
func (s *lineReader) take(h hash.Hash) error {
	if int64(len(s.raw)) == s.size {
		h.Write(s.raw) // a hash never fails to write
	} else if _, err := io.Copy(h, io.NewSectionReader(s.f, s.offset, s.size)); err != nil {
		return err
	}
	s.offset += s.size
	s.lines += max(1, s.ends)
	return nil
}
