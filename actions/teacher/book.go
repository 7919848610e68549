package teacher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/retraind/retraind/serving"
)

// Book stores answers in a file, one line of JSON each, in the order of arrival. It is safe for concurrent use, by one
// process at a time.
type Book struct {
	mu     sync.Mutex // guards the fields below
	file   *os.File
	lines  map[string]Line
	synced time.Time
}

// Line is the answer to one text.
type Line struct {
	Item string `json:"item"`
	Hash string `json:"text_hash"`
	// Values are the labels in the answer, by target; nil if the answer could not be used.
	Values serving.Answers `json:"values,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"` // the whole answer
	Error  string          `json:"error,omitempty"`  // why it could not be used
}

// syncEvery is the shortest pause between two syncs by Add. A stored line survives the death of the process at once,
// and a power cut after the next sync.
const syncEvery = time.Second

// maxLine limits the size of an answer with its item, in bytes.
const maxLine = 16 << 20

// OpenBook opens the file, and removes an incomplete last line.
func OpenBook(path string) (*Book, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	b := &Book{file: f, lines: map[string]Line{}}
	if err := b.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("read stored labels: %s: %w", path, err), f.Close())
	}
	return b, nil
}

func (b *Book) read() error {
	in := bufio.NewReaderSize(b.file, 1<<16)
	var whole int64
	for {
		text, err := in.ReadSlice('\n')
		long := []byte(nil)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLine {
			long = append(long, text...)
			text, err = in.ReadSlice('\n')
		}
		text = append(long, text...)
		if errors.Is(err, io.EOF) { // an incomplete line: the model will be asked again
			if err := b.file.Truncate(whole); err != nil {
				return err
			}
			_, err = b.file.Seek(whole, io.SeekStart)
			return err
		}
		if err != nil {
			return err
		}
		whole += int64(len(text))
		var l Line
		if json.Unmarshal(bytes.TrimSpace(text), &l) == nil && l.Item != "" { // damaged lines are asked again
			b.lines[key(l.Item, l.Hash)] = l
		}
	}
}

func key(item, hash string) string { return item + "\x00" + hash }

// Find returns the answer to a text.
func (b *Book) Find(item, hash string) (Line, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.lines[key(item, hash)]
	return l, ok
}

// Add stores an answer.
func (b *Book) Add(l Line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("store label: %w", err)
	}
	b.lines[key(l.Item, l.Hash)] = l
	if time.Since(b.synced) < syncEvery {
		return nil
	}
	b.synced = time.Now()
	return b.file.Sync()
}

// Close syncs the file and closes it.
func (b *Book) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.file.Sync(), b.file.Close())
}
