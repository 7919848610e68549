// Package labelevent decodes label events: a JSON object, a CloudEvent, a CSV record, or a webhook of Label Studio or
// Argilla becomes a watch.Event.
//
// It defines the mapping from the fields of an event to item, text and labels, and the limits of what is accepted. A
// Decoder is pure and safe for concurrent use. It never does I/O, never sets the origin of an event, and never stores
// anything.
package labelevent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

// The limits of an event. They keep a faulty sender from filling the store, and are far above the sizes of real
// labels.
const (
	MaxEvent  = 1 << 20 // one event with its text
	MaxID     = 512
	maxLabel  = 1 << 10
	maxAuthor = 256
	// maxAhead is how far a sender's clock may be ahead; a later time is replaced by the current time.
	maxAhead = 5 * time.Minute
)

// Decoder turns the payloads of one source into events. It is pure and safe for concurrent use.
type Decoder struct {
	id, author, at, deleted string            // paths
	text                    map[string]string // paths by field; nil: the field "text" as it is
	label                   string            // path of the label of the only target
	labels                  map[string]string // paths by target; nil: the object "labels"
	targets                 map[string]serving.Target
	onlyTarget              string   // the only target, "" when there are several
	required                []string // text fields that identify an item: an event with a text must have them
	keyColumns              int      // columns of the table's composite key; 0 if no table has such a key
}

// NewDecoder returns the decoder of a source. The parameter need lists the fields that a text must have: those of
// heldout.group.
func NewDecoder(s Mapping, targets []serving.Target, need []string) *Decoder {
	d := &Decoder{
		id: cmp.Or(s.ID, "id"), author: cmp.Or(s.Author, "author"), at: cmp.Or(s.At, "at"),
		deleted: cmp.Or(s.Deleted, "deleted"),
		text:    s.Text.Fields(), label: cmp.Or(s.Label, "label"), labels: s.Targets, targets: map[string]serving.Target{},
		required: need,
	}
	for _, t := range targets {
		d.targets[t.Name] = t
	}
	if len(targets) == 1 {
		d.onlyTarget = targets[0].Name
	}
	return d
}

// ForKey returns a decoder that formats the id of an item like the keys of a table with this number of key columns.
func (d *Decoder) ForKey(columns int) *Decoder {
	own := *d
	if columns > 1 {
		own.keyColumns = columns
	}
	return &own
}

// Decode reads one JSON object, plain or as a CloudEvent.
func (d *Decoder) Decode(raw []byte, now time.Time) (watch.Event, error) {
	object, err := decodeObject(raw)
	if err != nil {
		return watch.Event{}, err
	}
	key := ""
	if _, ok := object["specversion"]; ok {
		if key, object, err = openCloudEvent(object); err != nil {
			return watch.Event{}, err
		}
	}
	e, err := d.event(object, now)
	e.Key = key
	return e, err
}

// decodeObject reads exactly one JSON object, with numbers as they are written.
func decodeObject(raw []byte) (map[string]any, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) > MaxEvent:
		return nil, fmt.Errorf("%d bytes, at most %d are accepted", len(raw), MaxEvent)
	case !utf8.Valid(raw):
		return nil, errors.New("it is not valid UTF-8 (convert it, for example with iconv)")
	case len(raw) == 0:
		return nil, errors.New("it is empty")
	case raw[0] != '{':
		return nil, fmt.Errorf("it is not a JSON object but begins with %s",
			strconv.QuoteToASCII(string(raw[:min(len(raw), 20)])))
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if dec.InputOffset() != int64(len(raw)) {
		return nil, errors.New("there is more data after the JSON object")
	}
	return object, nil
}

// Complete reports whether a line without a line end contains a whole JSON object. A prefix of an object never
// parses, so an incomplete line is never taken for a complete one.
func Complete(raw []byte) bool {
	_, err := decodeObject(raw)
	return err == nil
}

// openCloudEvent returns the data of a CloudEvent and the event's key. The key consists of source and id, which
// together name the event permanently.
func openCloudEvent(in map[string]any) (key string, data map[string]any, err error) {
	text := func(name string) string { s, _ := in[name].(string); return s }
	if v := text("specversion"); v != "1.0" {
		return "", nil, fmt.Errorf("specversion %q, want 1.0", v)
	}
	if text("id") == "" || text("source") == "" {
		return "", nil, errors.New("a CloudEvent needs id and source")
	}
	data, ok := in["data"].(map[string]any)
	if !ok {
		return "", nil, errors.New("the CloudEvent's data is not a JSON object")
	}
	if _, ok := data["at"]; !ok && text("time") != "" {
		data["at"] = text("time")
	}
	if key = "ce:" + text("source") + " " + text("id"); len(key) > MaxID {
		return "", nil, fmt.Errorf("the CloudEvent's source and id have %d bytes, at most %d are allowed", len(key), MaxID)
	}
	return key, data, nil
}

// event reads an object whose numbers are json.Number. Unknown fields are ignored. An event with no label, text or
// deletion is an error.
func (d *Decoder) event(object map[string]any, now time.Time) (e watch.Event, err error) {
	if e.Item, err = d.itemID(object, d.id); err != nil {
		return e, err
	}
	if v, ok := find(object, d.deleted); ok && v != nil {
		gone, isBool := v.(bool)
		if text, isText := v.(string); isText {
			gone, err = strconv.ParseBool(text)
			isBool = err == nil
		}
		if !isBool {
			return e, fmt.Errorf("%s: want true or false", d.deleted)
		}
		e.Delete = gone
	}
	if e.At, err = d.eventTime(object, now); err != nil {
		return e, err
	}
	if v, ok := find(object, d.author); ok && v != nil {
		e.Author = author(v)
	}
	if e.Delete {
		return e, nil
	}
	if e.Text, err = d.readText(object); err != nil {
		return e, err
	}
	if err := d.readLabels(object, &e); err != nil {
		return e, err
	}
	if len(e.Labels) > 0 || len(e.Unset) > 0 {
		return e, nil
	}
	if err := d.misspelledLabel(object); err != nil || e.Text != nil {
		return e, err
	}
	return e, d.emptyEvent(object)
}

// misspelledLabel refuses an event that has no label but a field with nearly the same name as that of the label, because
// the label would otherwise be lost silently.
func (d *Decoder) misspelledLabel(object map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		for _, want := range []string{d.label, "labels"} {
			if name != want && name != "labels" && len(name)-len(want) <= 1 && len(want)-len(name) <= 1 &&
				check.Nearest(name, []string{want}) != "" {
				return fmt.Errorf("it has no label, but a field %s: did you mean %s?", quoteShort(name), want)
			}
		}
	}
	return nil
}

// emptyEvent returns the error for an event with no label, text or deletion. The error lists the event's fields.
func (d *Decoder) emptyEvent(object map[string]any) error {
	names := slices.Sorted(maps.Keys(object))
	if len(names) > 12 {
		names = append(names[:12], "…")
	}
	return fmt.Errorf("it has neither a text nor a label: its fields are %s (name the right ones under text and label of the source)",
		quoteShort(strings.Join(names, ", ")))
}

func (d *Decoder) readLabels(object map[string]any, e *watch.Event) error {
	raw := map[string]any{}
	paths := map[string]string{}
	if d.labels != nil {
		for target, path := range d.labels {
			if v, ok := find(object, path); ok {
				raw[target], paths[target] = v, path
			}
		}
	} else {
		if v, ok := find(object, d.label); ok {
			if d.onlyTarget == "" {
				return fmt.Errorf("%s: the model has several targets; write labels: {target: label}, with one or more of %s", d.label,
					d.names())
			}
			raw[d.onlyTarget], paths[d.onlyTarget] = v, d.label
		}
		switch v := object["labels"].(type) {
		case nil:
		case map[string]any:
			for target, v := range v {
				raw[target], paths[target] = v, "labels."+target
			}
		default:
			return fmt.Errorf("labels: expected an object {target: label}, not %s", kindOf(v))
		}
	}
	for target, v := range raw {
		t, ok := d.targets[target]
		if !ok {
			return fmt.Errorf("%s: the model has no target %s, only %s", quoteShort(paths[target]), quoteShort(target),
				d.names())
		}
		if v == nil {
			e.Unset = append(e.Unset, target)
			continue
		}
		label, err := canonicalLabel(t, v)
		if err != nil {
			return fmt.Errorf("%s: %w", paths[target], err)
		}
		if e.Labels == nil {
			e.Labels = watch.Labels{}
		}
		e.Labels[target] = label
	}
	slices.Sort(e.Unset)
	return nil
}

// names returns the sorted names of the targets, separated by commas.
func (d *Decoder) names() string { return strings.Join(slices.Sorted(maps.Keys(d.targets)), ", ") }
