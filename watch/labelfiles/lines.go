package labelfiles

import (
	"bufio"
	"bytes"
	"errors"
	"hash"
	"io"

	"github.com/retraind/retraind/watch/labelevent"
)

// lineReader cuts a file into lines, or into records of CSV, whose quoted fields may contain ends of lines. It holds one
// line in memory; a longer one than an event may be is passed over.
type lineReader struct {
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

func newLineReader(f io.ReaderAt, offset int64, quotes bool) *lineReader {
	return &lineReader{
		f: f, r: bufio.NewReaderSize(io.NewSectionReader(f, offset, 1<<62-offset), 64<<10), quotes: quotes,
		offset: offset,
	}
}

// next returns the next line with its end, and whether it has one. The bytes are valid until the next call. A line that
// is too long is nil. io.EOF means that nothing is left, or nothing that can be told yet.
func (s *lineReader) next() (raw []byte, whole bool, err error) {
	s.raw, s.size, s.ends = s.raw[:0], 0, 0
	open := false // a quoted field
	for !s.stopped {
		part, err := s.r.ReadSlice('\n')
		s.size += int64(len(part))
		long := s.size > labelevent.MaxEvent+1
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
func (s *lineReader) unread() { s.stopped = true }

// take counts the line as read.
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
