package natssource

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// message is one message, from the consumer or read from the stream.
type message struct {
	seq    uint64
	at     int64 // when the stream got it, in ns
	header nats.Header
	data   []byte
	msg    jetstream.Msg // nil if it was read from the stream; it is acknowledged when the consumer delivers it
}

// open opens the stream and the consumer, and stores the messages that were delivered earlier but are not stored yet.
func (n *session) open(ctx context.Context) error {
	upto, err := n.openConsumer(ctx)
	if err != nil {
		return err
	}
	return n.catchUp(ctx, upto) // without a time limit: there may be many messages
}

// openConsumer opens the stream and the consumer, and returns the sequence number of the last message that was delivered.
func (n *session) openConsumer(ctx context.Context) (delivered uint64, err error) {
	ctx, stop := context.WithTimeout(ctx, 4*requestTimeout)
	defer stop()
	if n.js, err = jetstream.New(n.conn); err != nil {
		return 0, err
	}
	if n.stream, err = n.openStream(ctx); err != nil {
		return 0, err
	}
	if err := n.openPosition(ctx); err != nil {
		return 0, err
	}
	n.consumer, err = n.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: n.cfg.Consumer, Description: "label events of retraind", FilterSubject: n.cfg.Subject,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: maxAckPending,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		// Messages that exceed this limit are not lost: catchUp reads them from the stream by position.
		MaxDeliver: n.cfg.MaxDeliver,
	})
	if err != nil {
		return 0, fmt.Errorf("consumer %s: %w", n.cfg.Consumer, err)
	}
	last := n.consumer.CachedInfo().Delivered
	n.last, n.pending = last.Consumer, n.consumer.CachedInfo().NumPending
	return last.Stream, nil
}

// catchUp reads the messages after the position, up to the sequence number `upto`, from the stream itself instead of
// the consumer, and stores them.
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
				letters = append(letters, message{seq: raw.Sequence, at: raw.Time.UnixNano(), header: raw.Header, data: raw.Data})
				size += len(raw.Data)
			}
		}
		if err := n.store(ctx, letters, min(next-1, upto)); err != nil {
			return err
		}
	}
	return nil
}

// fetch waits for messages and handles them.
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
			n.pending = 0 // the pending messages were removed from the stream
			return errors.Join(n.checkContent(ctx, nil), n.purge(ctx))
		}
	}
	return n.handle(ctx, letters)
}

// receive collects a batch. The consumer numbers its deliveries, so receive detects a lost delivery by a missing
// number.
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
		letters = append(letters, message{
			seq: meta.Sequence.Stream, at: meta.Timestamp.UnixNano(), header: msg.Headers(), data: msg.Data(), msg: msg,
		})
		largest = max(largest, len(msg.Data()))
	}
	n.batch = max(1, min(maxAckPending, maxFetchBytes/max(largest, 1)))
	return letters, batch.Error()
}

// handle stores those messages that are new, in the order of the stream, and acknowledges all messages.
func (n *session) handle(ctx context.Context, letters []message) error {
	if err := n.checkContent(ctx, letters); err != nil {
		return err
	}
	var fresh []message
	upto := n.mark.Seq
	for _, l := range letters {
		if l.seq > upto { // redeliveries are stored already
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
	if err := acknowledge(ctx, letters); err != nil {
		return err
	}
	if n.stored += len(letters); n.stored < purgeAfter {
		return nil
	}
	return n.purge(ctx)
}

// acknowledge acknowledges messages. It waits for the server's confirmation of the last one, because a server that
// forbids acknowledgements answers nothing.
func acknowledge(ctx context.Context, letters []message) error {
	for i, l := range letters {
		if i < len(letters)-1 {
			if err := l.msg.Ack(); err != nil {
				return err
			}
			continue
		}
		ctx, stop := context.WithTimeout(ctx, requestTimeout)
		defer stop()
		return l.msg.DoubleAck(ctx)
	}
	return nil
}
