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

// Book keeps answers in a file, one line each, as they come. It is safe for concurrent use; one process has it at a time.
type Book struct {
	mu     sync.Mutex // guards the rest
	file   *os.File
	lines  map[string]Line
	synced time.Time
}

// Line is the answer to one text.
type Line struct {
	Item string `json:"item"`
	Hash string `json:"text_hash"`
	// Values are the answer's, by target; nil where it could not be used.
	Values serving.Answers `json:"values,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"` // the whole of it
	Error  string          `json:"error,omitempty"`  // why it could not be used
}

// syncEvery is how long a line may wait to be safe from a power cut; from a kill it is safe at once.
const syncEvery = time.Second

// maxLine bounds an answer with its item.
const maxLine = 16 << 20

// OpenBook opens the file, and cuts off a last line that was written half.
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
		return nil, errors.Join(fmt.Errorf("the labels that were kept: %s: %w", path, err), f.Close())
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
		if errors.Is(err, io.EOF) { // half a line: its text is asked about again
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
		if json.Unmarshal(bytes.TrimSpace(text), &l) == nil && l.Item != "" { // a line that was damaged is asked again
			b.lines[key(l.Item, l.Hash)] = l
		}
	}
}

func key(item, hash string) string { return item + "\x00" + hash }

// Find is the answer to a text.
func (b *Book) Find(item, hash string) (Line, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.lines[key(item, hash)]
	return l, ok
}

// Add keeps an answer.
func (b *Book) Add(l Line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("keep a label: %w", err)
	}
	b.lines[key(l.Item, l.Hash)] = l
	if time.Since(b.synced) < syncEvery {
		return nil
	}
	b.synced = time.Now()
	return b.file.Sync()
}

// Close makes everything safe.
func (b *Book) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.file.Sync(), b.file.Close())
}
