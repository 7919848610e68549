package natssource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// store stores the events of messages and the position after them in one transaction. Before that it sends messages
// with refused events to the dead-letter subject. When the store has refused the same messages MaxDeliver times, it
// stores them one by one. Failures because of a fault of the store do not count.
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
	next := n.mark.behind(upto, letters...)
	receipt, err := n.storeBatch(ctx, events, next)
	if err != nil {
		if storeFault(err) || len(letters) == 0 || n.countFailure(upto) < n.cfg.MaxDeliver {
			return err
		}
		return n.storeOneByOne(ctx, letters, upto)
	}
	n.mark, n.failures = next, 0
	clear(n.dead)
	n.Stored(receipt)
	return nil
}

func (n *session) storeBatch(ctx context.Context, events []watch.Event, mark position) (watch.Receipt, error) {
	text, err := json.Marshal(mark)
	if err != nil {
		return watch.Receipt{}, err
	}
	r, err := n.inbox.Take(ctx, watch.Batch{
		Source: watch.SourceNATS, Events: events,
		Marks: map[string]string{"": string(text)},
	})
	if err != nil {
		return r, &inboxError{err}
	}
	return r, nil
}

// inboxError is an error of the inbox, and not of NATS.
type inboxError struct{ err error }

func (e *inboxError) Error() string { return "store label changes: " + e.err.Error() }
func (e *inboxError) Unwrap() error { return e.err }

// storeFault reports whether an error is a fault of the store, such as a full disk. No message is the cause of such a
// fault, even if batches without events can be stored: on a full disk only small writes succeed.
func storeFault(err error) bool {
	var fault *watch.Fault
	return errors.As(err, &fault) && fault.Store
}

// countFailure counts how often the store refused the same messages.
func (s *Source) countFailure(upto uint64) int {
	if s.failedAt != upto {
		s.failedAt, s.failures = upto, 0
	}
	s.failures++
	return s.failures
}

// storeOneByOne stores the messages one by one, each in its own transaction. It sends a message that the store refuses
// to the dead-letter subject. But after a fault of the store, or if the store then refuses even a batch with no events
// and the unchanged position, no message is the cause, and storeOneByOne returns the error.
func (n *session) storeOneByOne(ctx context.Context, letters []message, upto uint64) error {
	for _, l := range letters {
		events, _ := n.decode(l, time.Now().UTC())
		next := n.mark.behind(l.seq, l)
		receipt, err := n.storeBatch(ctx, events, next)
		if storeFault(err) {
			return err
		}
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
	next := n.mark.behind(upto)
	_, err := n.storeBatch(ctx, nil, next)
	if err == nil {
		n.mark = next
	}
	return err
}

// decode reads the events of a message. Their keys come from the sender. If the sender gave none, they are derived from
// the creation time of the stream, the sequence number and the time of the message.
func (n *session) decode(l message, now time.Time) ([]watch.Event, []labelevent.Refusal) {
	key := fmt.Sprintf("seq:%d:%d:%d", n.mark.Created, l.seq, l.at) // a restored stream reuses sequence numbers
	if id := l.header.Get(nats.MsgIdHdr); id != "" {
		key = "id:" + id
	}
	if l.header.Get("ce-specversion") != "" && l.header.Get("ce-id") != "" { // a CloudEvent in binary mode
		key = "ce:" + l.header.Get("ce-source") + " " + l.header.Get("ce-id")
	}
	if len(key) > labelevent.MaxID {
		return nil, []labelevent.Refusal{{Reason: fmt.Sprintf("the message's id has %d bytes, at most %d are allowed", len(key),
			labelevent.MaxID)}}
	}
	return n.decoder.DecodeBody(l.data, key, now)
}
