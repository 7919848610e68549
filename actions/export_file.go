package actions

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/drift"
)

// exportFile is one file on its way, with its digest and its tree.
type exportFile struct {
	*renameio.PendingFile
	buf           *bufio.Writer
	line          []byte // the last one, for its memory
	sum           hash.Hash
	leaves        leaves
	root          string // of the tree, once it is finished
	written, sent int64  // bytes: given to the kernel, and on their way to the disk
}

// sendAfter is how many bytes are sent to the disk at a time.
const sendAfter = 4 << 20

// Write implements io.Writer. What was written is sent to the disk while more is read, so that in the end there is little
// to wait for.
func (f *exportFile) Write(p []byte) (int, error) {
	n, err := f.PendingFile.Write(p)
	f.sum.Write(p[:n]) // a hash never fails to write
	if f.written += int64(n); f.written-f.sent >= sendAfter {
		_ = unix.SyncFileRange(int(f.Fd()), f.sent, f.written-f.sent, unix.SYNC_FILE_RANGE_WRITE) // no more than a hint: fsync tells
		f.sent = f.written
	}
	return n, err
}

func newExportFile(dir, name string) (*exportFile, error) {
	f, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithPermissions(0o600))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	out := &exportFile{PendingFile: f, sum: sha256.New(), leaves: leaves{dir: dir}}
	out.buf = bufio.NewWriterSize(out, 1<<17)
	return out, nil
}

func (f *exportFile) add(targets []drift.Target, row Row, hash string, leaf [sha256.Size]byte) error {
	if err := f.leaves.add(row.ID, leaf); err != nil {
		return err
	}
	line, err := appendExample(f.line[:0], targets, row, hash)
	if err != nil {
		return err
	}
	f.line = line
	_, err = f.buf.Write(line)
	return err
}

// id returns the item of a line, counted from 0.
func (f *exportFile) id(line int) (string, error) {
	if err := f.buf.Flush(); err != nil {
		return "", err
	}
	written, err := os.Open(f.Name())
	if err != nil {
		return "", err
	}
	defer written.Close()
	var e Example
	for in := json.NewDecoder(written); line >= 0; line-- {
		if err := in.Decode(&e); err != nil {
			return "", err
		}
	}
	return e.ID, nil
}

// finish puts the file in its place.
func (f *exportFile) finish() (err error) {
	if f.root, err = f.leaves.root(); err != nil {
		return err
	}
	if err := f.buf.Flush(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// cleanup removes what was not put in its place.
func (f *exportFile) cleanup() {
	f.leaves.close()
	f.Cleanup() //nolint:errcheck // a no-op once it was put in its place
}
