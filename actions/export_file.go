package actions

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/drift"
)

// exportFile is one file on its way, with its digest and its tree.
type exportFile struct {
	*renameio.PendingFile
	buf    *bufio.Writer
	line   []byte // the last one, for its memory
	sum    hash.Hash
	leaves leaves
	root   string // of the tree, once it is finished
}

func newExportFile(dir, name string) (*exportFile, error) {
	f, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithPermissions(0o600))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	sum := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<17)
	return &exportFile{PendingFile: f, buf: buf, sum: sum, leaves: leaves{dir: dir}}, nil
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
