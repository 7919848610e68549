package labelfiles

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

const (
	batchLines    = 1000    // lines stored in one transaction
	batchBytes    = 2 << 20 // approximate limit of their total size
	maxNamedLines = 10      // refused lines of one pass that are logged one by one; of the others only the number is logged
)

// readFile reads the new lines of a file. If the file cannot be opened, unpacked or understood, it records a fault and
// returns nil, so that the other files are still read.
func (s *Source) readFile(ctx context.Context, name string, now fileState, m position, thorough bool) error {
	size := m.Offset
	if isGzip(name) {
		size = m.Packed
	}
	same := m.inode == now.inode && m.Gone.IsZero() && size == now.size && m.MTime == now.mtime
	if now == s.broken[name] || same && (!thorough || !m.Unsure) {
		return nil
	}
	f, err := s.openFile(name, now.inode)
	if err != nil {
		if !errors.Is(err, errReplaced) && !errors.Is(err, os.ErrNotExist) {
			s.fault(name, explainFile(err))
		}
		return nil
	}
	c, err := contentOf(name, f)
	if err != nil {
		if errors.As(err, new(gzipError)) {
			s.broken[name] = now
		} else {
			s.closeFile(now.inode)
		}
		s.fault(name, explainFile(err))
		return nil
	}
	defer c.done()
	delete(s.broken, name)
	well, err := m.continues(c, c.size, thorough)
	if err != nil {
		s.closeFile(now.inode)
		s.fault(name, explainFile(err))
		return nil
	}
	if !well {
		s.Log.Info("a label file was rewritten and is read again from its start", "file", name)
		m = fromStart()
	}
	m.inode, m.Gone = now.inode, time.Time{}
	if m.Again && m.Offset > 0 && now.mtime-m.MTime > int64(rewriteEnds) {
		m.Again = false
	}
	unsure := m.Offset > 0 && !thorough
	changed := m.Unsure != unsure
	m.Unsure = unsure
	_, err = s.readOpen(ctx, name, c, m, changed)
	return err
}

// readOpen reads the lines of an open file that follow the position, and returns the new position. changed means that
// the position must be stored even if nothing was read.
func (s *Source) readOpen(ctx context.Context, name string, f content, m position, changed bool) (position, error) {
	h, err := m.hash()
	if err != nil {
		return m, fmt.Errorf("stored position of %s: %w", name, err)
	}
	written := s.written(m.inode, f.mtime)
	quiet := f.packed > 0 || f.final || time.Since(written) > s.quiet
	form, cause := s.format(name, f, quiet)
	if s.fault(name, cause); cause != "" {
		return m, nil
	}
	r := &fileReader{source: s, name: name, file: f, mark: m, hash: h, form: form, written: written, quiet: quiet}
	defer r.logMore()
	lines := newLineReader(f, m.Offset, form.end, form.separators)
	for ctx.Err() == nil {
		raw, whole, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.closeFile(m.inode)
			s.fault(name, explainFile(err))
			return r.mark, nil
		}
		if err := r.line(ctx, raw, lines, whole); err != nil {
			return r.mark, err
		}
	}
	if ctx.Err() != nil {
		return r.mark, context.Cause(ctx)
	}
	changed = changed || m.Packed != f.packed || !bytes.Equal(m.Loose, r.mark.Loose)
	if !changed && lines.lines == 0 && len(r.events) == 0 && (lines.offset != f.size || m.MTime == f.mtime) {
		return r.mark, nil // nothing to store: at most the beginning of a line was added
	}
	r.mark.MTime, r.mark.Packed = f.mtime, f.packed
	return r.mark, r.store(ctx, lines)
}

// fileReader handles the lines of one pass over a file.
type fileReader struct {
	source *Source
	name   string
	file   content
	mark   position // stored, or about to be
	hash   hash.Hash
	form   form

	written time.Time // see Source.written
	quiet   bool      // its last line counts as complete: it is gzip, was removed, or was not written to for quietAfter

	events   []watch.Event
	bytes    int
	refusals []refusal // of lines after the stored position
	refused  int       // lines refused before, in this pass
}

// refusal is a refused line and the reason.
type refusal struct{ place, reason string }

// line handles one line. raw is nil if the line is too long.
func (r *fileReader) line(ctx context.Context, raw []byte, at *lineReader, whole bool) error {
	place := fmt.Sprintf("%s:%d", filepath.Join(r.source.cfg.Dir, r.name), r.mark.Line+at.lines+1)
	switch {
	case raw == nil:
		r.refuse(place, fmt.Sprintf("the line has more than %d bytes", labelevent.MaxEvent))
	case !whole && r.file.packed == 0 && (isCSV(r.name) || !labelevent.Complete(raw)) && !r.unclosed(at):
		r.lastLine(raw, place)
		at.unread() // its end is not written yet
		return nil
	case len(r.mark.Loose) > 0 && bytes.Equal(looseDigest(raw), r.mark.Loose):
		// It was already read when it had no line end.
	default:
		err := r.decode(at.raw)
		if errors.Is(err, labelevent.ErrRecord) {
			at.cut()
		}
		if err != nil {
			r.refuse(place, err.Error())
		}
	}
	r.mark.Loose = nil
	if err := at.take(r.hash); err != nil {
		return err
	}
	r.bytes += len(raw)
	if len(r.events)+len(r.refusals) < batchLines && r.bytes < batchBytes {
		return nil
	}
	return r.store(ctx, at)
}

// decode decodes the event of a line.
func (r *fileReader) decode(raw []byte) error {
	e, ok, err := r.form.decode(raw, time.Now().UTC())
	if err == nil && ok {
		e.File, e.Reading, e.Again = r.name, r.mark.Reading, r.mark.Again
		r.events = append(r.events, e)
	}
	return err
}

// unclosed reports whether the file ends inside a quoted field that will never be closed. If so, it cuts the record
// after its first line, so that the other lines are read separately.
func (r *fileReader) unclosed(at *lineReader) bool {
	if !r.quiet || at.ends == 0 {
		return false
	}
	at.cut()
	return true
}

// lastLine handles a last line that has no line end and may be incomplete. In a quiet file it reads the line, but the
// position stays before the line, so that the whole line is read again if the rest of it follows later. For any other
// file it schedules a scan.
func (r *fileReader) lastLine(raw []byte, place string) {
	if !r.quiet {
		r.source.lookAgain(r.written)
		return
	}
	digest := looseDigest(raw)
	if bytes.Equal(digest, r.mark.Loose) {
		return
	}
	r.mark.Loose = digest
	if err := r.decode(raw); err != nil {
		r.refuse(place, "incomplete line, read again when it is complete: "+err.Error())
	}
}

// looseDigest returns the digest of a line without its line end.
func looseDigest(raw []byte) []byte {
	sum := sha256.Sum256(bytes.TrimRight(raw, "\r\n"))
	return sum[:8]
}

// refuse records a refused line. The line counts once the position after it is stored, because it is read again until
// then.
func (r *fileReader) refuse(place, reason string) {
	r.refusals = append(r.refusals, refusal{place, reason})
}

// report counts the refused lines, and logs up to maxNamedLines of a pass.
func (r *fileReader) report() {
	for _, l := range r.refusals {
		if r.refused++; r.refused <= maxNamedLines {
			r.source.Refused(l.place, l.reason)
		} else {
			r.source.CountRefused(l.place, l.reason)
		}
	}
	r.refusals = r.refusals[:0]
}

// logMore logs the number of refused lines that were not logged one by one.
func (r *fileReader) logMore() {
	if more := r.refused - maxNamedLines; more > 0 {
		r.source.Log.Warn("more lines of the file were refused", "file", r.name, "count", more)
	}
}

// store stores the events of the lines that were read, and the position after these lines, in one transaction.
func (r *fileReader) store(ctx context.Context, at *lineReader) error {
	line := r.mark.Line + at.lines
	if err := r.mark.move(r.hash, r.file, at.offset, line); err != nil {
		return err
	}
	at.lines = 0
	receipt, err := r.source.inbox.Take(ctx,
		watch.Batch{Source: watch.SourceFiles, Events: r.events, Marks: map[string]string{r.name: r.mark.String()}})
	if err != nil {
		return fmt.Errorf("store label changes: %w", err)
	}
	r.report()
	r.source.Stored(receipt)
	r.events, r.bytes = r.events[:0], 0
	return nil
}
