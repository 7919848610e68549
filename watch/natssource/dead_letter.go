package natssource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/watch/labelevent"
)

// createDeadLetterStream creates the stream that stores refused messages, if it is missing.
func (n *session) createDeadLetterStream(ctx context.Context) error {
	_, err := n.js.Stream(ctx, DefaultDeadStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = n.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: DefaultDeadStream, Description: "label events that retraind refused, with the reason",
			Subjects: []string{deadSubjects},
			Storage:  jetstream.FileStorage, MaxMsgs: 10000, MaxBytes: 64 << 20, MaxAge: 90 * 24 * time.Hour, AllowDirect: true,
			Metadata: map[string]string{createdBy: "1"},
		})
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", DefaultDeadStream, err)
	}
	return nil
}

// deadLetter sends a refused message to the dead-letter subject, with the reason. If no stream stores the subject, only
// its present subscribers get the message. While the store fails, the message is handled again, but not sent again.
func (n *session) deadLetter(ctx context.Context, l message, reason string) error {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	id := fmt.Sprintf("%d:%d:%d", n.mark.Created, l.seq, l.at)
	if n.dead[id+reason] {
		return nil
	}
	place := fmt.Sprintf("%s:%d", n.cfg.Stream, l.seq)
	dead := &nats.Msg{Subject: n.cfg.DeadLetter, Data: l.data, Header: nats.Header{
		"Retraind-Reason": {oneLine(reason)}, "Retraind-Stream": {n.cfg.Stream}, "Retraind-Sequence": {fmt.Sprint(l.seq)},
		nats.MsgIdHdr: {id}, // deduplicates after a crash at this point
	}}
	_, err := n.js.PublishMsg(ctx, dead)
	if errors.Is(err, nats.ErrMaxPayload) { // the added headers made it too large
		dead.Data = nil
		_, err = n.js.PublishMsg(ctx, dead)
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) { // no stream stores dead letters: only subscribers and the log get it
		err = n.conn.PublishMsg(dead)
	}
	if err != nil {
		return fmt.Errorf("send the dead letter for %s: %w", place, err)
	}
	n.dead[id+reason] = true
	n.Refused(place, reason)
	return nil
}

// oneLine makes a reason fit for a header.
func oneLine(s string) string {
	const most = 1000
	if s = labelevent.WithoutControls(s); len(s) > most {
		s = s[:most]
	}
	return s
}
