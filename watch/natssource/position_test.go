package natssource

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/watch"
)

// told waits until the notice of Health contains the given words.
func (w *wire) told(want string) {
	w.t.Helper()
	waittest.EventuallyNil(w.t, func() error {
		if h := w.src.Health(); !strings.Contains(h.Notice, want) {
			return fmt.Errorf("%+v, want %q", h, want)
		}
		return nil
	})
}

// TestNATSStreamThatWentBack: the server's store is restored from an older copy while retraind is down. Messages
// published afterwards have sequence numbers that were already read. These messages are read, and events that were
// stored before are not counted again.
func TestNATSStreamThatWentBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after int // messages after the stream was reset
		want  string
	}{
		"behind the position":   {1, "its last message is 2, but message 4 was already read"},
		"up to the position":    {3, "message 4 is not the message that was read before"},
		"far over the position": {9, "message 4 is not the message that was read before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			w.foreign()
			w.publish(watchtest.Line(1, "a"))
			w.server.Down()
			restore := w.server.Keep()
			w.serverUp()
			w.start()
			for i := range 3 {
				w.publish(watchtest.Line(2+i, "lost"))
			}
			w.wants("1=a", "2=lost", "3=lost", "4=lost")
			w.stop()
			w.server.Down()
			restore()
			w.serverUp()
			want := []string{"1=a", "2=lost", "3=lost", "4=lost"}
			for i := range c.after {
				w.publish(watchtest.Line(10+i, "new"))
				want = append(want, fmt.Sprintf("%d=new", 10+i))
			}
			w.start()
			w.wants(want...)
			w.told(c.want)
			w.publish(watchtest.Line(99, "on"))
			w.wants(append(want, "99=on")...)
		})
	}
}

// TestNATSStreamGoesBackWhileFollowed: after a reconnect, the position is compared with the stream before any message
// is acknowledged.
func TestNATSStreamGoesBackWhileFollowed(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.foreign()
	w.start()
	w.publish(watchtest.Line(1, "a"))
	w.wants("1=a")
	w.server.Down()
	restore := w.server.Keep()
	w.serverUp()
	w.publish(watchtest.Line(2, "lost"))
	w.publish(watchtest.Line(3, "lost"))
	w.wants("1=a", "2=lost", "3=lost")
	w.server.Down()
	restore()
	w.serverUp()
	w.publish(watchtest.Line(4, "new"))
	w.wants("1=a", "2=lost", "3=lost", "4=new")
	w.told("is read again from its start: it was reset")
}

// TestNATSStreamThatIsMadeAnew: a new stream of the same name is read from its start, and the notice reports it.
func TestNATSStreamThatIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.foreign()
	w.start()
	w.publish(watchtest.Line(1, "a"))
	w.wants("1=a")
	w.stop()
	if err := w.js.DeleteStream(t.Context(), w.cfg.Stream); err != nil {
		t.Fatal(err)
	}
	w.foreign()
	w.publish(watchtest.Line(2, "b"))
	w.start()
	w.wants("1=a", "2=b")
	w.told("it is a new stream of the same name")
}

// TestNATSNewerMessageAtAnOldPlace: even if an outage of the server goes unnoticed, new messages with sequence numbers
// that were already read are not acknowledged unread.
func TestNATSNewerMessageAtAnOldPlace(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.foreign()
	w.publish(watchtest.Line(1, "a"))
	w.start()
	w.wants("1=a")
	w.stop()
	n := &session{Source: w.src, reconnects: w.src.conn.Stats().Reconnects, compared: time.Now()}
	js, err := jetstream.New(w.src.conn)
	if err == nil {
		n.js = js
		err = n.open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	again := message{seq: n.mark.Last, at: n.mark.At}
	if err := n.checkContent(t.Context(), []message{again}); err != nil {
		t.Errorf("a message that comes again: %v", err)
	}
	n.mark.At--
	if err := n.checkContent(t.Context(), []message{again}); err != errReopen { //nolint:errorlint // it is not wrapped
		t.Errorf("another message at its place: %v", err)
	}
}

// foreign creates the stream as another operator would, so that retraind does not purge it.
func (w *wire) foreign() {
	w.t.Helper()
	_, err := w.js.CreateStream(w.t.Context(), jetstream.StreamConfig{
		Name: w.cfg.Stream, Subjects: []string{labelSubjects}, Storage: jetstream.FileStorage,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// serverUp starts the server and waits until the publisher is connected again.
func (w *wire) serverUp() {
	w.t.Helper()
	w.server.Up()
	waittest.EventuallyNil(w.t, func() error { return w.conn.FlushTimeout(time.Second) })
}

// unhurried is an Inbox that records whether a batch of events had to be stored before a deadline.
type unhurried struct {
	watch.Inbox
	limited atomic.Bool
}

func (u *unhurried) Take(ctx context.Context, b watch.Batch) (watch.Receipt, error) {
	if _, limited := ctx.Deadline(); limited && len(b.Events) > 0 {
		u.limited.Store(true)
	}
	return u.Inbox.Take(ctx, b)
}

// TestNATSCatchesUpWithoutADeadline: after the loss of the stored position, any number of messages that the consumer
// has delivered is read again from the stream.
func TestNATSCatchesUpWithoutADeadline(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.foreign()
	w.publish(watchtest.Line(1, "a"))
	w.start()
	w.wants("1=a")
	w.up()
	w.stop()
	w.inbox = watchtest.NewInbox()
	inbox := &unhurried{Inbox: w.inbox}
	w.follow(inbox)
	w.wants("1=a")
	if inbox.limited.Load() {
		t.Error("the messages had to be stored before a deadline")
	}
}

// TestNATSAnotherPermission: a permission that something else on the connection needs is not reported as missing for
// label events.
func TestNATSAnotherPermission(t *testing.T) {
	t.Parallel()
	s := &Source{cfg: Config{}.WithDefaults("m")}
	for subject, want := range map[string]bool{
		"$JS.API.STREAM.INFO.X": true, "$JS.ACK.X": true, "retraind.dead.v1.m.labels": true, "_INBOX.x": true,
		"retraind.evt.v1.m": false, "retraind.api.v1.>": false,
	} {
		err := fmt.Errorf("nats: permissions violation: Permissions Violation for Publish to %q", subject)
		if s.needs(err) != want {
			t.Errorf("%s: needed %v, want %v", subject, !want, want)
		}
	}
}
