package labelevent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/watch"
)

// Refusal is one event of a body that was refused, with the reason.
type Refusal struct {
	Index  int    `json:"index"` // its position in the body, from 0
	Reason string `json:"reason"`
}

// DecodeBody reads a message that contains one event, a list of events, or JSON Lines. An event without a key gets
// one that is derived from `key`, the key of the message. If `key` is empty, such events have no key.
func (d *Decoder) DecodeBody(body []byte, key string, now time.Time) (events []watch.Event, refused []Refusal) {
	parts, err := splitBody(body)
	if err != nil {
		return nil, []Refusal{{Reason: err.Error()}}
	}
	for i, raw := range parts {
		e, err := d.Decode(raw, now)
		if err != nil {
			refused = append(refused, Refusal{Index: i, Reason: err.Error()})
			continue
		}
		if e.Key == "" && key != "" {
			e.Key = key
			if len(parts) > 1 {
				e.Key = fmt.Sprintf("%s/%d", key, i)
			}
		}
		events = append(events, e)
	}
	return events, refused
}

// splitBody splits a body into its events.
func splitBody(body []byte) ([][]byte, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF")))
	if len(body) > 0 && body[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("the list is empty")
		}
		out := make([][]byte, len(list))
		for i, raw := range list {
			out[i] = raw
		}
		return out, nil
	}
	if !bytes.ContainsRune(body, '\n') || json.Valid(body) {
		return [][]byte{body}, nil
	}
	var out [][]byte
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			out = append(out, line)
		}
	}
	return out, nil
}

// Reasons joins refusals on one line: the first three, and the number of the others.
func Reasons(refused []Refusal) string {
	parts := make([]string, 0, len(refused))
	for i, r := range refused {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("and %d more", len(refused)-i))
			break
		}
		if len(refused) == 1 && r.Index == 0 {
			return r.Reason
		}
		parts = append(parts, fmt.Sprintf("event %d: %s", r.Index+1, r.Reason))
	}
	return strings.Join(parts, "; ")
}
