// Package notify publishes retraind's events. It contains the catalogue of events, their CloudEvents envelope, the
// embedded NATS server, and the drain that publishes the outbox to JetStream.
//
// It owns the stream RETRAIND_EVENTS and the bucket retraind_models, and never changes the limits of existing ones.
// Encoding is pure; Broker and Drain are safe for concurrent use. The package never decides anything and never reads
// the store directly (the Outbox is passed in), and a run never waits for it.
package notify

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/oklog/ulid/v2"
)

// DaemonModel is used instead of a model's name in events about the daemon itself.
const DaemonModel = "_daemon"

// Event is one notification before it is wrapped into its CloudEvents envelope.
type Event struct {
	ID    string          // ULID; also the Nats-Msg-Id
	Kind  Kind            // e.g. "model.deployed"
	Model string          // "_daemon" for events of the daemon itself
	Run   string          // id of the run, if the event is about one
	At    time.Time       // UTC
	Data  json.RawMessage // one of the catalogue's data types
	// Key, if set, is the key in the bucket retraind_models under which the document is also stored ("<model>.current").
	Key string
}

// New creates an event with a new id. data must have the type that the catalogue names for the kind.
func New(kind Kind, model, run string, data any, at time.Time) (Event, error) {
	entry, ok := Lookup(kind)
	if !ok {
		return Event{}, fmt.Errorf("event %q: no such kind", kind)
	}
	if want, got := reflect.TypeOf(entry.Data), reflect.TypeOf(data); want != got {
		return Event{}, fmt.Errorf("event %s: want data of type %v, got %v", kind, want, got)
	}
	if err := checkModel(model); err != nil {
		return Event{}, fmt.Errorf("event %s: %w", kind, err)
	}
	body, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("event %s: %w", kind, err)
	}
	id, err := ulid.New(ulid.Timestamp(at), rand.Reader)
	if err != nil {
		return Event{}, fmt.Errorf("event %s: %w", kind, err)
	}
	e := Event{ID: id.String(), Kind: kind, Model: model, Run: run, At: at.UTC(), Data: body}
	if entry.Entry != "" {
		e.Key = model + "." + entry.Entry
	}
	return e, nil
}

// Subject returns the NATS subject of an event.
func Subject(model string, kind Kind) string { return "retraind.evt.v1." + model + "." + string(kind) }

var modelName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// checkModel refuses model names with dots, blanks or wildcards, because they become part of subjects and bucket keys,
// and nats.go does not report errors such as "a..b".
func checkModel(name string) error {
	switch {
	case name == "":
		return errors.New("no model")
	case !modelName.MatchString(name):
		return fmt.Errorf("model %q: a name has 1 to 32 characters of a-z, 0-9, _ and -", name)
	}
	return nil
}
