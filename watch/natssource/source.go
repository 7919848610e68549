// Package natssource reads label events from a JetStream stream.
//
// It manages the durable consumer, the position in the stream and the dead-letter stream of refused messages. A
// Source runs in one goroutine; Health and Retry are safe for concurrent use. It never acknowledges a message before
// its events are stored or sent to the dead-letter subject, and never changes a stream that retraind did not create.
package natssource

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// Source reads label events from a JetStream stream by a durable pull consumer. It implements watch.Source.
//
// Events are handled in the order of the stream: they are stored, with the stream's sequence as the position, and
// then acknowledged. Unacknowledged messages are redelivered; a message at or before the position is already stored.
// A delivery that was lost leaves a gap in the consumer's sequence numbers. The lost message is then read from the
// stream before any newer message is handled, so that an old event that arrives late never undoes a newer one.
type Source struct {
	*watch.Retrier
	cfg     *Config
	conn    *nats.Conn
	create  bool
	decoder *labelevent.Decoder
	inbox   watch.Inbox

	failedAt uint64 // the last message of a batch that the store refused; owned by Run, like the fields below
	failures int
	dead     map[string]bool // dead letters that were sent since events were last stored, by message and reason
}

var _ watch.Source = (*Source)(nil)

// New returns the source of a model's label events. create allows it to create missing streams, as on the embedded
// server. poke is called after each batch in which events were stored, with their number; it must not block.
func New(model string, cfg *Config, conn *nats.Conn, create bool, decoder *labelevent.Decoder, inbox watch.Inbox,
	poke func(n int), log *slog.Logger,
) *Source {
	return &Source{
		Retrier: watch.NewRetrier(model, watch.SourceNATS, poke, log), cfg: cfg, conn: conn, create: create,
		decoder: decoder, inbox: inbox, dead: map[string]bool{},
	}
}

// Name implements watch.Source.
func (s *Source) Name() string { return watch.SourceNATS }

// Run implements watch.Source. It ends only with ctx.
func (s *Source) Run(ctx context.Context) error { return s.RunWithRetry(ctx, s.follow) }

const (
	requestTimeout = 5 * time.Second  // of one request to the server
	idleWait       = 2 * time.Second  // how long one fetch waits for events
	ackWait        = 30 * time.Second // after which unacknowledged messages are redelivered
	maxAckPending  = 256              // messages that may be unacknowledged
	purgeAfter     = 4096             // stored messages after which these are purged from the stream
	compareEvery   = time.Minute      // how often the position is compared with an idle stream
	maxFetchBytes  = 4 << 20          // approximate size of the messages that are fetched at a time
)

// position is the position in a stream. Created distinguishes streams of the same name. Last and At distinguish
// different contents of one stream.
type position struct {
	Created int64  `json:"created"`
	Seq     uint64 `json:"seq"`            // all messages up to it are stored or refused
	Last    uint64 `json:"last,omitempty"` // the newest message that was seen
	At      int64  `json:"at,omitempty"`   // when the stream got it, in ns
}

// behind returns the position after messages of the same stream.
func (p position) behind(upto uint64, letters ...message) position {
	p.Seq = upto
	for _, l := range letters {
		if l.seq > p.Last {
			p.Last, p.At = l.seq, l.at
		}
	}
	return p
}

// session follows the stream until an error occurs.
type session struct {
	*Source
	js       jetstream.JetStream
	stream   jetstream.Stream
	consumer jetstream.Consumer
	mark     position
	last     uint64 // the consumer's number of the last delivery
	gap      bool   // deliveries were lost
	pending  uint64 // messages that the consumer has not delivered yet, as far as is known
	stored   int    // messages that were acknowledged since the last purge
	batch    int
	// reconnects is the connection's number of reconnects when the stream was last compared with the position.
	reconnects uint64
	compared   time.Time // when the stream was last compared with the position
}

func (s *Source) follow(ctx context.Context, onUp func()) error {
	if !s.conn.IsConnected() {
		return s.explain(nats.ErrDisconnected) // a request would only time out
	}
	n := &session{Source: s, batch: 16, reconnects: s.conn.Stats().Reconnects, compared: time.Now()}
	if err := n.open(ctx); err != nil {
		return s.explain(err)
	}
	for {
		if n.pending == 0 {
			onUp() // everything was read
		}
		if err := n.fetch(ctx); errors.Is(err, errReopen) {
			return nil
		} else if err != nil {
			return s.explain(err)
		}
	}
}
