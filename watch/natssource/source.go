// Package natssource reads label events from a JetStream stream.
//
// It owns the durable consumer, the position in the stream and the dead letters. A Source runs in one goroutine; Health
// and Retry are safe for concurrent use. It never acknowledges a message before its events are stored, and never changes
// a stream that it did not create.
package natssource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// Source takes label events from a JetStream stream by a durable pull consumer. It implements Source.
//
// Events are handled in the order of the stream: they are stored, with the stream's sequence as the position, and then
// acknowledged. What was delivered before and not acknowledged comes again; the position tells what of it is stored.
// Deliveries that were lost on the way are noticed by a gap in the consumer's own numbers, and are then read from the
// stream, before anything newer is handled: an old event that comes late never undoes a newer one.
type Source struct {
	*watch.Retrier
	cfg     *Config
	conn    *nats.Conn
	create  bool
	decoder *labelevent.Decoder
	inbox   watch.Inbox

	failedAt uint64 // the last message of a batch that the store refused; owned by Run, as is failures
	failures int
}

var _ watch.Source = (*Source)(nil)

// New returns the source of a model's label events. create says that missing streams are to be created, as on the
// embedded server. poke is called after each stored batch with the number of events; it must not block.
func New(model string, cfg *Config, conn *nats.Conn, create bool, decoder *labelevent.Decoder, inbox watch.Inbox, poke func(n int), log *slog.Logger) *Source {
	return &Source{Retrier: watch.NewRetrier(model, watch.SourceNATS, poke, log), cfg: cfg, conn: conn, create: create, decoder: decoder, inbox: inbox}
}

// Name implements Source.
func (s *Source) Name() string { return watch.SourceNATS }

// Run implements Source. It ends with ctx only.
func (s *Source) Run(ctx context.Context) error { return s.RunWithRetry(ctx, s.follow) }

const (
	requestTimeout = 5 * time.Second  // of one request to the server
	idleWait       = 2 * time.Second  // how long one waiting for events lasts
	ackWait        = 30 * time.Second // after which what was not acknowledged comes again
	maxAckPending  = 256              // messages that may be unacknowledged
	purgeAfter     = 4096             // messages after which the stream is purged of what is stored
	maxFetchBytes  = 4 << 20          // bytes of messages that are fetched at a time, about
)

// position is the position in a stream. Created tells the stream from another one of its name.
type position struct {
	Created int64  `json:"created"`
	Seq     uint64 `json:"seq"` // all messages up to it are stored
}

// message is one message, from the consumer or read from the stream.
type message struct {
	seq    uint64
	header nats.Header
	data   []byte
	msg    jetstream.Msg // nil when it was read from the stream: its delivery is acknowledged when it comes again
}

// session lives as long as the server answers.
type session struct {
	*Source
	js       jetstream.JetStream
	stream   jetstream.Stream
	consumer jetstream.Consumer
	mark     position
	last     uint64 // the consumer's number of the last delivery
	gap      bool   // deliveries were lost on the way
	pending  uint64 // messages that the consumer has not delivered yet, as far as is known
	stored   int    // messages since the stream was last purged of them
	batch    int
}

func (s *Source) follow(ctx context.Context, onUp func()) error {
	n := &session{Source: s, batch: 16}
	if err := n.open(ctx); err != nil {
		return s.explain(err)
	}
	for {
		if n.pending == 0 {
			onUp() // the next trouble is a new one
		}
		if err := n.fetch(ctx); err != nil {
			return s.explain(err)
		}
	}
}

// open finds the stream and the consumer, and handles what was delivered to somebody who could not store it.
func (n *session) open(ctx context.Context) (err error) {
	ctx, stop := context.WithTimeout(ctx, 4*requestTimeout)
	defer stop()
	if n.js, err = jetstream.New(n.conn); err != nil {
		return err
	}
	if n.stream, err = n.openStream(ctx); err != nil {
		return err
	}
	n.consumer, err = n.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: n.cfg.Consumer, Description: "label events of retraind", FilterSubject: n.cfg.Subject,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: maxAckPending, DeliverPolicy: jetstream.DeliverAllPolicy,
		// What was delivered so often is not lost: the position finds it in the stream.
		MaxDeliver: n.cfg.MaxDeliver,
	})
	if err != nil {
		return fmt.Errorf("consumer %s: %w", n.cfg.Consumer, err)
	}
	created := n.stream.CachedInfo().Created.UnixNano()
	marks, err := n.inbox.Marks(ctx, watch.SourceNATS)
	if err != nil {
		return err
	}
	if text := marks[""]; text != "" {
		if err := json.Unmarshal([]byte(text), &n.mark); err != nil {
			return fmt.Errorf("stored position %.100q: %w", text, err)
		}
	}
	if n.mark.Created != created {
		n.mark = position{Created: created}
	}
	delivered := n.consumer.CachedInfo().Delivered
	n.last, n.pending = delivered.Consumer, n.consumer.CachedInfo().NumPending
	return n.catchUp(ctx, delivered.Stream)
}

// catchUp handles the messages behind the position up to a sequence, read from the stream itself.
func (n *session) catchUp(ctx context.Context, upto uint64) error {
	for n.mark.Seq < upto {
		var letters []message
		size := 0
		next := n.mark.Seq + 1
		for next <= upto && len(letters) < maxAckPending && size < maxFetchBytes {
			raw, err := n.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(n.cfg.Subject))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				next = upto + 1
				break
			}
			if err != nil {
				return err
			}
			if next = raw.Sequence + 1; raw.Sequence <= upto {
				letters = append(letters, message{seq: raw.Sequence, header: raw.Header, data: raw.Data})
				size += len(raw.Data)
			}
		}
		if err := n.store(ctx, letters, min(next-1, upto)); err != nil {
			return err
		}
	}
	return nil
}

// fetch waits for events and handles them.
func (n *session) fetch(ctx context.Context) error {
	letters, err := n.receive(n.consumer.FetchNoWait(n.batch))
	if err != nil {
		return err
	}
	if len(letters) == 0 {
		wait, stop := context.WithTimeout(ctx, idleWait)
		letters, err = n.receive(n.consumer.Fetch(1, jetstream.FetchContext(wait)))
		stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if len(letters) == 0 {
			if !n.conn.IsConnected() {
				return nats.ErrDisconnected
			}
			n.pending = 0 // what was pending was removed from the stream
			return n.purge(ctx)
		}
	}
	return n.handle(ctx, letters)
}

// receive collects a batch. The consumer numbers its deliveries, so that one that was lost leaves a gap.
func (n *session) receive(batch jetstream.MessageBatch, err error) ([]message, error) {
	if err != nil {
		return nil, err
	}
	var letters []message
	largest := 0
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		n.gap = n.gap || meta.Sequence.Consumer != n.last+1
		n.last, n.pending = meta.Sequence.Consumer, meta.NumPending
		letters = append(letters, message{seq: meta.Sequence.Stream, header: msg.Headers(), data: msg.Data(), msg: msg})
		largest = max(largest, len(msg.Data()))
	}
	n.batch = max(1, min(maxAckPending, maxFetchBytes/max(largest, 1)))
	return letters, batch.Error()
}

// handle stores what is new, in the order of the stream, and acknowledges all of it.
func (n *session) handle(ctx context.Context, letters []message) error {
	var fresh []message
	upto := n.mark.Seq
	for _, l := range letters {
		if l.seq > upto { // else it comes again and is stored already
			fresh, upto = append(fresh, l), l.seq
		}
	}
	if n.gap {
		if err := n.catchUp(ctx, upto); err != nil {
			return err
		}
		n.gap = false
	} else if err := n.store(ctx, fresh, upto); err != nil {
		return err
	}
	for _, l := range letters {
		if err := l.msg.Ack(); err != nil {
			return err
		}
	}
	if n.stored += len(letters); n.stored < purgeAfter {
		return nil
	}
	return n.purge(ctx)
}

// store puts the events of messages and the position behind them into one transaction. What cannot be taken goes to the
// dead letters before.
func (n *session) store(ctx context.Context, letters []message, upto uint64) error {
	if upto <= n.mark.Seq {
		return nil
	}
	now := time.Now().UTC()
	var events []watch.Event
	for _, l := range letters {
		taken, refused := n.decode(l, now)
		if len(refused) > 0 {
			if err := n.deadLetter(ctx, l, labelevent.Reasons(refused)); err != nil {
				return err
			}
		}
		events = append(events, taken...)
	}
	next := position{Created: n.mark.Created, Seq: upto}
	receipt, err := n.storeBatch(ctx, events, next)
	if err != nil {
		if len(letters) == 0 || n.countFailure(upto) < n.cfg.MaxDeliver {
			return err
		}
		return n.storeOneByOne(ctx, letters, upto)
	}
	n.mark, n.failures = next, 0
	n.Stored(receipt)
	return nil
}

func (n *session) storeBatch(ctx context.Context, events []watch.Event, mark position) (watch.Receipt, error) {
	text, err := json.Marshal(mark)
	if err != nil {
		return watch.Receipt{}, err
	}
	r, err := n.inbox.Take(ctx, watch.Batch{Source: watch.SourceNATS, Events: events, Marks: map[string]string{"": string(text)}})
	if err != nil {
		return r, fmt.Errorf("store label changes: %w", err)
	}
	return r, nil
}

// countFailure counts how often the store refused the same messages.
func (s *Source) countFailure(upto uint64) int {
	if s.failedAt != upto {
		s.failedAt, s.failures = upto, 0
	}
	s.failures++
	return s.failures
}

// storeOneByOne finds the message that the store refuses while it takes others: it goes to the dead letters. A store that
// takes nothing at all is no fault of a message.
func (n *session) storeOneByOne(ctx context.Context, letters []message, upto uint64) error {
	for _, l := range letters {
		events, _ := n.decode(l, time.Now().UTC())
		next := position{Created: n.mark.Created, Seq: l.seq}
		receipt, err := n.storeBatch(ctx, events, next)
		if err != nil {
			if _, also := n.storeBatch(ctx, nil, n.mark); also != nil {
				return err
			}
			if buried := n.deadLetter(ctx, l, err.Error()); buried != nil {
				return buried
			}
			if _, err := n.storeBatch(ctx, nil, next); err != nil {
				return err
			}
		}
		n.mark = next
		n.Stored(receipt)
	}
	n.failures = 0
	_, err := n.storeBatch(ctx, nil, position{Created: n.mark.Created, Seq: upto})
	if err == nil {
		n.mark.Seq = upto
	}
	return err
}

// decode reads the events of a message. Their names are those that the sender gave, else the place in the stream.
func (n *session) decode(l message, now time.Time) ([]watch.Event, []labelevent.Refusal) {
	key := fmt.Sprintf("seq:%d:%d", n.mark.Created, l.seq)
	if id := l.header.Get(nats.MsgIdHdr); id != "" {
		key = "id:" + id
	}
	if l.header.Get("ce-specversion") != "" && l.header.Get("ce-id") != "" { // a CloudEvent in binary mode
		key = "ce:" + l.header.Get("ce-source") + " " + l.header.Get("ce-id")
	}
	if len(key) > labelevent.MaxID {
		return nil, []labelevent.Refusal{{Reason: fmt.Sprintf("its name has %d bytes, at most %d are allowed", len(key), labelevent.MaxID)}}
	}
	return n.decoder.DecodeBody(l.data, key, now)
}
