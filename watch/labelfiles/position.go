package labelfiles

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
	"time"
)

// inode identifies a file independently of its name.
type inode struct{ Dev, Ino uint64 }

func inodeOf(info os.FileInfo) inode {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{uint64(st.Dev), st.Ino} //nolint:unconvert // the type of Dev differs between systems
	}
	return inode{}
}

func identify(path string) (inode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return inode{}, err
	}
	return inodeOf(info), nil
}

// position is the reading position in a file. It is stored as JSON.
type position struct {
	inode
	Offset int64 `json:"offset"` // bytes that were read: always whole lines
	Line   int   `json:"line"`   // lines that were read
	MTime  int64 `json:"mtime"`  // mtime of the file when it was last read to its end, in ns
	// Sum is the state of a SHA-256 over all bytes that were read, Tail the digest of the last of them.
	Sum  []byte `json:"sum"`
	Tail []byte `json:"tail"`
	// Again means that the file is being read again from its start. It stays set until the file's writer pauses.
	Again bool `json:"again,omitempty"`
	// Reading identifies the pass over the file and is 0 in the first pass. It changes when the file is read again from
	// its start.
	Reading int64 `json:"reading,omitempty"`
	// Loose is the digest of a last line that was read although it has no line end; Offset is before this line.
	Loose []byte `json:"loose,omitempty"`
	// Unsure means that the file was written to since its content was last compared with Sum.
	Unsure bool `json:"unsure,omitempty"`
	// Packed is the size of a gzip file when it was last read; Offset, Line, Sum and Tail refer to its unpacked
	// content.
	Packed int64 `json:"packed,omitempty"`
	// Gone is the time since which the file has been missing; zero if it exists.
	Gone time.Time `json:"gone,omitzero"`
}

// fromStart returns the position at the start of a file that is read again.
func fromStart() position { return position{Again: true, Reading: time.Now().UnixNano()} }

func parsePosition(text string) (m position, err error) {
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return m, fmt.Errorf("stored position %.100q: %w", text, err)
	}
	if _, err := m.hash(); err != nil {
		return m, fmt.Errorf("stored position %.100q: %w", text, err)
	}
	return m, nil
}

func (m position) String() string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // cannot happen: m contains only text and numbers
	}
	return string(text)
}

const (
	tailSize = 4 << 10
	// rewriteEnds is the pause after which a writer that rewrote a file is assumed to append to it.
	rewriteEnds = 2 * time.Second
	// quietAfter is the time since the last write after which a last line is read even if it has no line end.
	quietAfter = 5 * time.Second
	// maxCompare limits the full comparison: if more bytes were read, only the last ones are compared, so that a change
	// of earlier lines in place that keeps the length is not detected.
	maxCompare = 256 << 20
)

// tail returns the digest of the last bytes before the offset.
func tail(f io.ReaderAt, offset int64) ([]byte, error) {
	size := min(offset, tailSize)
	b := make([]byte, size)
	if _, err := f.ReadAt(b, offset-size); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return sum[:8], nil
}

// continues reports whether the file still contains what was read from it. It compares the last bytes that were read;
// if thorough is set, it compares all of them, unless they are more than maxCompare.
func (m position) continues(f io.ReaderAt, size int64, thorough bool) (bool, error) {
	if size < m.Offset {
		return false, nil
	}
	if m.Offset == 0 {
		return true, nil
	}
	last, err := tail(f, m.Offset)
	if err != nil || !bytes.Equal(last, m.Tail) {
		return false, err
	}
	if !thorough || m.Offset > maxCompare {
		return true, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, m.Offset)); err != nil {
		return false, err
	}
	was, err := m.hash()
	if err != nil {
		return false, err
	}
	return bytes.Equal(h.Sum(nil), was.Sum(nil)), nil
}

// hash returns the running hash of what was read.
func (m position) hash() (hash.Hash, error) {
	h := sha256.New()
	if len(m.Sum) == 0 {
		return h, nil
	}
	return h, h.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.Sum)
}

// move advances the position to offset, the end of the bytes that were read.
func (m *position) move(h hash.Hash, f io.ReaderAt, offset int64, line int) error {
	sum, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	last, err := tail(f, offset)
	if err != nil {
		return err
	}
	m.Offset, m.Line, m.Sum, m.Tail = offset, line, sum, last
	return nil
}
