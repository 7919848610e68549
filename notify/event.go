package notify

import (
	"encoding/json"
	"time"
)

// Event is one notification before it is wrapped into its CloudEvents envelope.
type Event struct {
	ID    string          // ULID; also the Nats-Msg-Id
	Kind  Kind            // e.g. "model.deployed"
	Model string          // "_daemon" for events of the daemon itself
	Run   string          // run id, where one is concerned
	At    time.Time       // UTC
	Data  json.RawMessage // one of the catalogue's data types
	// Key, when set, is the entry of the retraind_models bucket that gets the same document ("<model>.current").
	Key string
}
