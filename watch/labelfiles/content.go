package labelfiles

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// content is the readable content of a file: the file itself, or the unpacked content of a gzip file.
type content struct {
	*os.File
	size   int64 // of the content
	mtime  int64 // when the file itself was last written, in ns
	packed int64 // the size of the gzip file; 0 if the file is not gzip or is empty
	final  bool  // the file was removed or replaced: this is the last read
	own    bool  // File is a temporary unpacked file, to be closed by the method done
}

// maxUnpacked bounds what one gzip file may unpack to.
const maxUnpacked = 256 << 20

// isGzip recognizes gzip files by their names.
func isGzip(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".gz") }

// contentOf returns the content of an open file. A gzip file is unpacked completely before any line of it is used.
func contentOf(name string, f *os.File) (c content, err error) {
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	c = content{File: f, size: info.Size(), mtime: info.ModTime().UnixNano()}
	if !isGzip(name) || c.size == 0 { // an empty gzip file is about to be written
		return c, nil
	}
	c.packed = c.size
	c.File, c.size, err = unpack(io.NewSectionReader(f, 0, c.size), maxUnpacked, os.TempDir())
	c.own = true
	return c, err
}

// done closes an unpacked temporary file.
func (c content) done() {
	if c.own {
		_ = c.Close() // it was unlinked already
	}
}

// gzipError is a fault in the content of a gzip file. The file is not unpacked again until it changes.
type gzipError string

func (e gzipError) Error() string { return string(e) }

// unpack writes the content of a gzip file to an unlinked temporary file in the directory dir. It returns a gzipError if
// the content is damaged or larger than the limit "most".
func unpack(packed io.Reader, most int64, dir string) (out *os.File, size int64, err error) {
	out, err = os.CreateTemp(dir, "retraind-labels-")
	if err != nil {
		return nil, 0, temporaryError(dir, err)
	}
	defer func() {
		if err != nil {
			err, out = errors.Join(err, out.Close()), nil
		}
	}()
	if err := os.Remove(out.Name()); err != nil {
		return out, 0, err
	}
	in, err := gzip.NewReader(packed)
	if err == nil {
		size, err = io.Copy(out, io.LimitReader(in, most+1))
	}
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return out, 0, gzipError("its gzip data ends too early: write it under another name, and rename it when it is complete")
	case errors.Is(err, gzip.ErrHeader):
		return out, 0, gzipError("it is not gzip, or other data follows the gzip data: only gzip files may be named .gz")
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return out, 0, gzipError("its gzip data is damaged: write the file again")
	case err == nil && size > most:
		return out, 0, gzipError(fmt.Sprintf("it unpacks to more than %d MiB: split it", most>>20))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) && failed.Path == out.Name() {
		err = temporaryError(dir, err)
	}
	return out, size, err
}

// temporaryError explains why a file cannot be unpacked into a temporary file. It leaves out the temporary file's name,
// which is different each time, so that the fault of the gzip file is reported only once.
func temporaryError(dir string, err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("it cannot be unpacked into a temporary file in %s: %w", dir, err)
}
