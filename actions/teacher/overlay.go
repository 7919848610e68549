package teacher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/serving"
)

// Over is the model's answer for one training item, combined with people's labels.
type Over struct {
	Item string `json:"item"`
	Hash string `json:"text_hash"`
	// Labels are the model's labels for the targets that people did not label, by target.
	Labels map[string]string `json:"labels,omitempty"`
	// Answer is the whole answer, with people's labels in place of the model's.
	Answer json.RawMessage `json:"answer"`
}

// write writes the overlay of the run.
func (r *run) write(train []Item) error {
	out, err := renameio.NewPendingFile(r.in.Overlay, renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer out.Cleanup() //nolint:errcheck // nothing is left of one that was replaced
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, it := range train {
		l, ok := r.book.Find(it.ID, it.Hash)
		if !ok || l.Values == nil {
			r.facts.Unusable++
			continue
		}
		o, err := over(r.targets, it, l)
		if err != nil {
			return fmt.Errorf("item %s: %w", it.ID, err)
		}
		r.facts.Labelled++
		if err := enc.Encode(o); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

// over merges an answer with people's labels; a label from people replaces the model's.
func over(targets []serving.Target, it Item, l Line) (Over, error) {
	o := Over{Item: it.ID, Hash: it.Hash, Labels: map[string]string{}}
	var answer map[string]any
	in := json.NewDecoder(bytes.NewReader(l.Answer))
	in.UseNumber()
	if err := in.Decode(&answer); err != nil {
		return o, fmt.Errorf("stored answer: %w", err)
	}
	for _, t := range targets {
		if label, given := it.Labels[t.Name]; given {
			set(answer, t.Path(), t.JSON(label))
		} else if v, ok := l.Values[t.Name]; ok {
			o.Labels[t.Name] = v
		}
	}
	var err error
	o.Answer, err = json.Marshal(answer)
	return o, err
}

// set writes the field at a dotted path. An existing key that itself contains dots takes precedence over nested
// objects.
func set(object map[string]any, path string, value any) {
	for {
		_, there := object[path]
		head, rest, dotted := strings.Cut(path, ".")
		if there || !dotted {
			object[path] = value
			return
		}
		next, ok := object[head].(map[string]any)
		if !ok {
			next = map[string]any{}
			object[head] = next
		}
		object, path = next, rest
	}
}

// ReadOverlay reads the overlay of a run, by item and text hash; it is empty if no step wrote one.
func ReadOverlay(path string) (map[[2]string]Over, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[[2]string]Over{}
	in := json.NewDecoder(bufio.NewReader(f))
	for in.More() {
		var o Over
		if err := in.Decode(&o); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out[[2]string{o.Item, o.Hash}] = o
	}
	return out, nil
}
