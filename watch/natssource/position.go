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

// errReopen ends a session whose stream content may have changed since it was opened.
var errReopen = errors.New("the stream must be compared with the stored position again")

// openPosition loads the stored position and compares the stream with it. After a power cut, a restored copy or a new
// stream of the same name, the content of the stream may differ from what was read. Then the stream is read again
// from its start. An event that was stored before has the same key then, so reading it again changes nothing. Only in a
// new stream do events without a sender's key get other keys (see decode).
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
	// The old consumer may have skipped messages of the new content.
	err = n.stream.DeleteConsumer(ctx, n.cfg.Consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("consumer %s: %w", n.cfg.Consumer, err)
	}
	n.Log.Warn("the stream is read again from its start", "stream", n.cfg.Stream, "reason", cause)
	n.Notice(fmt.Sprintf("stream %s is read again from its start: %s", n.cfg.Stream, cause))
	n.mark = position{Created: created}
	return nil
}

// differs describes how the stream differs from what was read from it. It returns "" if it finds no difference.
func (n *session) differs(ctx context.Context, created int64) (string, error) {
	last := n.stream.CachedInfo().State.LastSeq
	switch {
	case n.mark.Created != created:
		return "it is a new stream of the same name", nil
	case last < n.mark.Seq:
		return fmt.Sprintf("it was reset (its last message is %d, but message %d was already read)", last, n.mark.Seq), nil
	case n.mark.Last == 0:
		return "", nil // no message was read yet, or the position is from an earlier version, without Last
	}
	msg, err := n.stream.GetMsg(ctx, n.mark.Last)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", nil // the message was removed in the meantime
	}
	if err != nil || msg.Time.UnixNano() == n.mark.At {
		return "", err
	}
	return fmt.Sprintf("it was reset (message %d is not the message that was read before)", n.mark.Last), nil
}

// checkContent returns errReopen if the content of the stream may differ from what was read, because after an outage
// the server may have an older copy of the stream. It is called before messages are acknowledged, so that none is
// acknowledged unread. After a reconnect it returns errReopen at once. It compares the stream with the position when
// the time of a message does not fit its sequence number, and once a minute while idle, because the failure of one
// server of a cluster can go unnoticed.
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
