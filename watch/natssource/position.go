package natssource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/watch"
)

// errReopen ends a session whose stream may have other content than when it was opened.
var errReopen = errors.New("the stream has to be compared with the position again")

// openPosition reads the stored position and compares the stream with it. A stream that has other content than was read
// of it, as after a power cut, a restored copy or a new stream of the same name, is read again from its start: what was
// stored already has the name that it had, and changes nothing.
func (n *session) openPosition(ctx context.Context) error {
	marks, err := n.inbox.Marks(ctx, watch.SourceNATS)
	if err != nil {
		return err
	}
	if text := marks[""]; text != "" {
		if err := json.Unmarshal([]byte(text), &n.mark); err != nil {
			return fmt.Errorf("stored position %.100q: %w", text, err)
		}
	}
	created := n.stream.CachedInfo().Created.UnixNano()
	if n.mark.Created == 0 {
		n.mark.Created = created
		return nil
	}
	cause, err := n.differs(ctx, created)
	if err != nil || cause == "" {
		return err
	}
	// The consumer may be behind messages that it never saw.
	err = n.stream.DeleteConsumer(ctx, n.cfg.Consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("consumer %s: %w", n.cfg.Consumer, err)
	}
	n.Log.Warn("the stream is read again from its start", "stream", n.cfg.Stream, "reason", cause)
	n.Notice(fmt.Sprintf("stream %s is read again from its start: %s", n.cfg.Stream, cause))
	n.mark = position{Created: created}
	return nil
}

// differs says in what the stream differs from what was read of it, "" if in nothing.
func (n *session) differs(ctx context.Context, created int64) (string, error) {
	last := n.stream.CachedInfo().State.LastSeq
	switch {
	case n.mark.Created != created:
		return "it is another stream of that name", nil
	case last < n.mark.Seq:
		return fmt.Sprintf("it went back: its last message is %d, and %d was read", last, n.mark.Seq), nil
	case n.mark.Last == 0:
		return "", nil // a position of an earlier version
	}
	msg, err := n.stream.GetMsg(ctx, n.mark.Last)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", nil // it was removed since
	}
	if err != nil || msg.Time.UnixNano() == n.mark.At {
		return "", err
	}
	return fmt.Sprintf("it went back: message %d is another than the one that was read", n.mark.Last), nil
}

// checkContent ends the session before messages are acknowledged that were never read: where the server was away, it may
// have come back with an older copy of the stream. Messages that are newer than their place in the stream say so too, and
// once a minute an idle stream is asked, because a server of a cluster can be away unnoticed.
func (n *session) checkContent(ctx context.Context, letters []message) error {
	if n.conn.Stats().Reconnects != n.reconnects {
		return errReopen
	}
	other := slices.ContainsFunc(letters, func(l message) bool {
		return l.seq <= n.mark.Last && l.at > n.mark.At || l.seq == n.mark.Last && l.at != n.mark.At
	})
	if !other && (len(letters) > 0 || time.Since(n.compared) < compareEvery) {
		return nil
	}
	n.compared = time.Now()
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	info, err := n.stream.Info(ctx)
	if err != nil {
		return err
	}
	if cause, err := n.differs(ctx, info.Created.UnixNano()); err != nil || cause == "" {
		return err
	}
	return errReopen
}
