package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// ContentType is the content type in the header of every published message.
const ContentType = "application/cloudevents+json"

// MaxBody is the size limit of documents that are sent or read: half of NATS' default limit.
const MaxBody = 512 << 10

const (
	typePrefix = "io.github.retraind."
	typeSuffix = ".v1"
)

// envelope is the JSON form of an event: CloudEvents 1.0 in structured mode, with the extension runid.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	RunID           string          `json:"runid,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// Type returns the CloudEvents type of a kind.
func Type(kind Kind) string { return typePrefix + string(kind) + typeSuffix }

// Encode returns the CloudEvents document of an event; host becomes part of the document's source.
func Encode(e Event, host string) ([]byte, error) {
	body, err := json.Marshal(envelope{
		SpecVersion: "1.0", ID: e.ID, Source: "/retraind/" + host, Type: Type(e.Kind), Subject: e.Model,
		Time: e.At.UTC(), DataContentType: "application/json", RunID: e.Run, Data: e.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.Kind, err)
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("encode event %s: %d bytes, at most %d can be sent", e.Kind, len(body), MaxBody)
	}
	return body, nil
}

// Decode parses a CloudEvents document. It ignores unknown fields, so that documents of a newer retraind can be read.
// An unknown kind is an error.
func Decode(body []byte) (Event, error) {
	if len(body) > MaxBody {
		return Event{}, fmt.Errorf("decode event: %d bytes, at most %d are accepted", len(body), MaxBody)
	}
	var in envelope
	if err := json.Unmarshal(body, &in); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	if in.SpecVersion != "1.0" {
		return Event{}, fmt.Errorf("decode event: specversion %q, want 1.0", in.SpecVersion)
	}
	if _, err := ulid.ParseStrict(in.ID); err != nil {
		return Event{}, fmt.Errorf("decode event: id %q: %w", in.ID, err)
	}
	name, prefixed := strings.CutPrefix(in.Type, typePrefix)
	name, suffixed := strings.CutSuffix(name, typeSuffix)
	entry, known := Lookup(Kind(name))
	if !prefixed || !suffixed || !known {
		return Event{}, fmt.Errorf("decode event: type %q is not one of retraind's", in.Type)
	}
	if err := checkModel(in.Subject); err != nil {
		return Event{}, fmt.Errorf("decode event: subject: %w", err)
	}
	if in.DataContentType != "" && in.DataContentType != "application/json" {
		return Event{}, fmt.Errorf("decode event: datacontenttype %q, want application/json", in.DataContentType)
	}
	if data := bytes.TrimSpace(in.Data); len(data) == 0 || data[0] != '{' {
		return Event{}, errors.New("decode event: data is not an object")
	}
	e := Event{ID: in.ID, Kind: entry.Kind, Model: in.Subject, Run: in.RunID, At: in.Time.UTC(), Data: in.Data}
	if entry.Entry != "" {
		e.Key = in.Subject + "." + entry.Entry
	}
	return e, nil
}

// Unpack decodes an event's data as T, which must be the type of its kind.
func Unpack[T any](e Event) (T, error) {
	var data T
	entry, ok := Lookup(e.Kind)
	if _, same := entry.Data.(T); !ok || !same {
		return data, fmt.Errorf("unpack event %s: its data is a %T, not a %T", e.Kind, entry.Data, data)
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, fmt.Errorf("unpack event %s: %w", e.Kind, err)
	}
	return data, nil
}
