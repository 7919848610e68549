package natssource

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/watch/labelevent"
)

// The rights that docs/sources.md names suffice on an external server. If one is missing, the error names all of them.
func TestNATSPermissions(t *testing.T) {
	t.Parallel()
	const api, ack, dead = "$JS.API.>", "$JS.ACK.>", "retraind.dead.v1.>"
	for name, allow := range map[string][]string{
		"sufficient": {api, ack, dead}, "without the API": {ack, dead}, "without acknowledgements": {api, dead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := server.NewServer(&server.Options{
				Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
				Users: []*server.User{
					{Username: "admin", Password: "p"},
					{Username: "retraind", Password: "p", Permissions: &server.Permissions{
						Publish:   &server.SubjectPermission{Allow: allow},
						Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
					}},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			s.Start()
			t.Cleanup(s.Shutdown)
			if !s.ReadyForConnections(10 * time.Second) {
				t.Fatal("the server does not accept connections")
			}
			w := &wire{t: t, inbox: watchtest.NewInbox(), cfg: Config{}.WithDefaults("m")}
			if w.conn, err = nats.Connect(s.ClientURL(), nats.UserInfo("admin", "p")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.conn.Close)
			if w.js, err = jetstream.New(w.conn); err != nil {
				t.Fatal(err)
			}
			for stream, subject := range map[string]string{w.cfg.Stream: w.cfg.Subject, "DEAD": dead} {
				config := jetstream.StreamConfig{Name: stream, Subjects: []string{subject}}
				if _, err := w.js.CreateStream(t.Context(), config); err != nil {
					t.Fatal(err)
				}
			}
			conn, err := nats.Connect(s.ClientURL(), nats.UserInfo("retraind", "p"),
				nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Close)
			w.src = New("m", w.cfg, conn, false, labelevent.NewDecoder(w.cfg.Mapping, watchtest.OneTarget(), nil), w.inbox,
				func(int) {}, slog.New(slog.DiscardHandler))
			done := make(chan struct{})
			go func() { defer close(done); _ = w.src.Run(t.Context()) }()
			t.Cleanup(func() { <-done })
			if len(allow) < 3 {
				w.publish(watchtest.Line(1, "a"))
				waittest.EventuallyNil(t, func() error {
					shown := w.src.Health().Error
					for _, want := range []string{api, ack, w.cfg.DeadLetter} {
						if !strings.Contains(shown, want) {
							return fmt.Errorf("the error %q does not name %s", shown, want)
						}
					}
					return nil
				})
				return
			}
			w.publish(watchtest.Line(1, "a"))
			w.publish(`{"id": "2"`)
			w.wants("1=a")
			waittest.EventuallyNil(t, func() error {
				consumer, err := w.js.Consumer(t.Context(), w.cfg.Stream, w.cfg.Consumer)
				if err != nil {
					return err
				}
				refused, err := w.js.Stream(t.Context(), "DEAD")
				if err != nil {
					return err
				}
				acked, kept := consumer.CachedInfo().AckFloor.Stream, refused.CachedInfo().State.Msgs
				if acked != 2 || kept != 1 {
					return fmt.Errorf("%d events are acknowledged and %d are kept as refused, want 2 and 1", acked, kept)
				}
				return nil
			})
		})
	}
}
