package drift

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/retraind/retraind/serving"
)

// maxHeldoutLine is the length, in bytes, of the longest line of a heldout.file or a training file that is read.
const maxHeldoutLine = 64 << 20

// HeldoutFile is the user's own test set, a list of items by id or by text. Labels in the file are ignored, because
// people correct labels in the source.
type HeldoutFile struct {
	// Lines is the number of entries, Digest the SHA-256 of the file in hex.
	Lines  int
	Digest string

	ids, groups map[string]struct{}
}

// OpenHeldoutFile reads the held-out file at path. `columns` are the text columns of the source.
func OpenHeldoutFile(path string, c HeldoutConfig, columns []string) (*HeldoutFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("heldout.file: %w; correct the path, or leave heldout.file out to hold out a share", err)
	}
	defer f.Close()
	h, err := ReadHeldoutFile(f, c.Group, columns)
	if err != nil {
		return nil, fmt.Errorf("heldout.file %s: %w", path, err)
	}
	return h, nil
}

// ReadHeldoutFile reads a held-out file in JSON Lines. Each line has an item's id, or its text columns (beside the id,
// or in an object named text), or both. An item is in the set if its id or its text matches. Other fields are ignored.
func ReadHeldoutFile(r io.Reader, group, columns []string) (*HeldoutFile, error) {
	h := &HeldoutFile{ids: map[string]struct{}{}, groups: map[string]struct{}{}}
	sum := sha256.New()
	lines := bufio.NewScanner(io.TeeReader(r, sum))
	lines.Buffer(make([]byte, 0, 64<<10), maxHeldoutLine)
	n := 0
	for lines.Scan() {
		n++
		line := trimLine(lines.Bytes(), n)
		if len(line) == 0 {
			continue
		}
		id, text, err := readEntry(line, columns)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		h.Lines++
		if id != "" {
			h.ids[id] = struct{}{}
		}
		if key := GroupKey(text, group); key != "" {
			h.groups[GroupHash(key)] = struct{}{}
		} else if id == "" {
			return nil, fmt.Errorf("line %d: it has neither an id nor a text: write {\"id\": …} or the text columns %q", n,
				columns)
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return nil, lineError(err, n+1)
	case h.Lines == 0:
		return nil, errors.New("it is empty: nothing would be held out")
	}
	h.Digest = hex.EncodeToString(sum.Sum(nil))
	return h, nil
}

// Has reports whether the file lists an item's id, or a text of its group.
func (h *HeldoutFile) Has(id, group string) bool {
	if _, ok := h.ids[id]; ok {
		return true
	}
	_, ok := h.groups[group]
	return ok
}

// lineError returns the error of a scanner that could not read line n.
func lineError(err error, n int) error {
	if errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d MiB", n, maxHeldoutLine>>20)
	}
	return err
}

// trimLine returns a line without white space at its ends, and the first one without a byte order mark.
func trimLine(line []byte, n int) []byte {
	if n == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return bytes.TrimSpace(line)
}

// readEntry parses the id and the text columns of one line.
func readEntry(line []byte, columns []string) (id string, text map[string]string, err error) {
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil || object == nil {
		return "", nil, fmt.Errorf("it is not a JSON object: %s", serving.Excerpt(line))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", nil, fmt.Errorf("something follows the JSON object; write one object per line: %s", serving.Excerpt(line))
	}
	switch v := object["id"].(type) {
	case string:
		id = v
	case json.Number:
		id = v.String()
	}
	from := object
	if inner, ok := object["text"].(map[string]any); ok {
		from = inner
	}
	text = map[string]string{}
	for _, column := range columns {
		if s, ok := from[column].(string); ok {
			text[column] = s
		}
	}
	return id, text, nil
}
