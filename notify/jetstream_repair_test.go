package notify_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/notify"
)

// A stream and a consumer whose creation or change was interrupted by a kill exist at every later start, with
// everything that was stored since.
func TestStreamKilledWhileItWasMade(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"no checksum":      os.Remove,
		"an earlier one's": func(path string) error { return os.WriteFile(path, []byte("0123456789abcdef"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open := func(do func(js jetstream.JetStream)) {
				t.Helper()
				broker, err := notify.StartEmbedded(notify.Options{Dir: dir, Name: "test"})
				if err != nil {
					t.Fatal(err)
				}
				defer broker.Shutdown()
				js, err := jetstream.New(broker.Conn())
				if err != nil {
					t.Fatal(err)
				}
				do(js)
			}
			open(func(js jetstream.JetStream) {
				if _, err := notify.Assets(t.Context(), js, slog.New(slog.DiscardHandler)); err != nil {
					t.Fatal(err)
				}
				if _, err := js.CreateConsumer(t.Context(), notify.Stream,
					jetstream.ConsumerConfig{Durable: "reader"}); err != nil {
					t.Fatal(err)
				}
			})
			home := filepath.Join(dir, "jetstream", "$G", "streams", notify.Stream)
			for _, path := range []string{filepath.Join(home, "meta.sum"), filepath.Join(home, "obs", "reader", "meta.sum")} {
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			open(func(js jetstream.JetStream) {
				if _, err := js.Publish(t.Context(), "retraind.evt.v1.m.run.started", []byte("{}")); err != nil {
					t.Fatal(err)
				}
			})
			open(func(js jetstream.JetStream) {
				stream, err := js.Stream(t.Context(), notify.Stream)
				if err != nil {
					t.Fatal(err)
				}
				if n := stream.CachedInfo().State.Msgs; n != 1 {
					t.Errorf("%d messages are left of 1", n)
				}
				if _, err := stream.Consumer(t.Context(), "reader"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
