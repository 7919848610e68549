package actions

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
)

// exportFile is a file that is being written, with the digest of its content. finish gives it its final name.
type exportFile struct {
	pending *renameio.PendingFile
	buf     *bufio.Writer
	lines   *json.Encoder
	sum     hash.Hash
}

func newExportFile(dir, name string) (*exportFile, error) {
	pending, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithPermissions(0o600))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	f := &exportFile{pending: pending, sum: sha256.New()}
	f.buf = bufio.NewWriterSize(io.MultiWriter(pending, f.sum), 1<<17)
	f.lines = json.NewEncoder(f.buf)
	f.lines.SetEscapeHTML(false)
	return f, nil
}

// add writes a row as one line; textHash is the hash of its text.
func (f *exportFile) add(targets []serving.Target, row Row, textHash string, messages []ollama.Message) error {
	labels := make(map[string]any, len(row.Labels))
	for _, target := range targets {
		if label, ok := row.Labels[target.Name]; ok {
			labels[target.Name] = target.JSON(label)
		}
	}
	return f.lines.Encode(Example{ID: row.ID, TextHash: textHash, Text: row.Text, Labels: labels, Messages: messages})
}

// id returns the id of the item on a line; lines are counted from 0.
func (f *exportFile) id(line int) (string, error) {
	if err := f.buf.Flush(); err != nil {
		return "", err
	}
	written, err := os.Open(f.pending.Name())
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

// finish moves the file to its final name and returns its SHA-256.
func (f *exportFile) finish() (string, error) {
	if err := f.buf.Flush(); err != nil {
		return "", err
	}
	return hex.EncodeToString(f.sum.Sum(nil)), f.pending.CloseAtomicallyReplace()
}

// cleanup removes an unfinished file.
func (f *exportFile) cleanup() {
	f.pending.Cleanup() //nolint:errcheck // a no-op after finish
}
