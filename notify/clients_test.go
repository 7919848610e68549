package notify_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/notify"
)

// guardedBroker starts an embedded server whose clients may publish labels and requests, and returns the path of their
// key.
func guardedBroker(t *testing.T) (b *notify.Broker, key string) {
	t.Helper()
	dir := t.TempDir()
	key = filepath.Join(dir, "run", notify.ClientKeyFile)
	b, err := notify.StartEmbedded(notify.Options{
		Dir: filepath.Join(dir, "nats"), Port: notify.RandomPort, Name: "test",
		Clients: &notify.Clients{
			KeyFiles: []string{filepath.Join(dir, "state", notify.ClientKeyFile), key},
			Publish:  []string{"retraind.in.v1.news.labels", "retraind.api.v1.>"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := notify.Assets(t.Context(), js, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "RETRAIND_LABELS", Subjects: []string{"retraind.in.v1.>"},
	}); err != nil {
		t.Fatal(err)
	}
	return b, key
}

// client returns an ordinary NATS client with the credential.
func client(t *testing.T, b *notify.Broker, key string) *nats.Conn {
	t.Helper()
	identity, err := nats.NkeyOptionFromSeed(key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(b.URL(), identity)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestClientsNeedTheCredential(t *testing.T) {
	t.Parallel()
	b, key := guardedBroker(t)
	for name, options := range map[string][]nats.Option{
		"nobody":         nil,
		"password":       {nats.UserInfo("retraind", "guess")},
		"empty password": {nats.UserInfo("retraind", "")},
		"another's key":  {anotherKey(t)},
	} {
		if conn, err := nats.Connect(b.URL(), options...); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
			conn.Close()
		}
	}
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the credential: %v, %v", info, err)
	}
}

func anotherKey(t *testing.T) nats.Option {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := notify.ClientKey(path); err != nil {
		t.Fatal(err)
	}
	o, err := nats.NkeyOptionFromSeed(path)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestClientsFollowAndAsk(t *testing.T) {
	t.Parallel()
	b, key := guardedBroker(t)
	conn := client(t, b, key)
	events, err := conn.SubscribeSync("retraind.evt.v1.>")
	if err != nil || conn.Flush() != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "retraind.evt.v1.news.run.started", []byte("true")); err != nil {
		t.Fatal(err)
	}
	if m, err := events.NextMsgWithContext(t.Context()); err != nil || string(m.Data) != "true" {
		t.Errorf("event %v, %v", m, err)
	}
	bucket, err := js.KeyValue(t.Context(), notify.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutString(t.Context(), "news.current", "m1"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Conn().Subscribe("retraind.api.v1.*.status",
		func(m *nats.Msg) { _ = m.Respond([]byte("fine")) }); err != nil {
		t.Fatal(err)
	}

	outside, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	read, err := outside.KeyValue(t.Context(), notify.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := read.Get(t.Context(), "news.current"); err != nil || string(entry.Value()) != "m1" {
		t.Errorf("bucket: %v, %v", entry, err)
	}
	if ack, err := outside.Publish(t.Context(), "retraind.in.v1.news.labels", []byte("{}")); err != nil ||
		ack.Stream != "RETRAIND_LABELS" {
		t.Errorf("labels: %v, %v", ack, err)
	}
	if m, err := conn.Request("retraind.api.v1.news.status", nil, 10*time.Second); err != nil || string(m.Data) != "fine" {
		t.Errorf("request: %v, %v", m, err)
	}
}

func TestClientsChangeNothing(t *testing.T) {
	t.Parallel()
	b, key := guardedBroker(t)
	conn := client(t, b, key)
	inside, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inside.Publish(t.Context(), "retraind.evt.v1.news.run.started", []byte("true")); err != nil {
		t.Fatal(err)
	}
	const unread = "$JS.API.STREAM.PURGE.RETRAIND_EVENTS"
	for _, m := range []*nats.Msg{
		{Subject: "$JS.API.STREAM.DELETE.RETRAIND_EVENTS"},
		{Subject: unread},
		{
			Subject: "$JS.API.CONSUMER.CREATE.RETRAIND_EVENTS",
			Data:    []byte(`{"stream_name":"RETRAIND_EVENTS","config":{"deliver_subject":"retraind.in.v1.news.labels"}}`),
		},
		{Subject: "retraind.evt.v1.news.model.deployed", Data: []byte("forged")},
		{Subject: "$KV.retraind_models.news.current", Data: []byte("forged")},
		{Subject: "retraind.in.v1.other.labels", Data: []byte("{}")},
		// The replies to allowed requests go only to the client's own inbox.
		{Subject: "$JS.API.STREAM.INFO.RETRAIND_EVENTS", Reply: unread},
		{Subject: "$JS.API.STREAM.INFO.RETRAIND_EVENTS", Reply: "retraind.evt.v1.news.model.deployed"},
		{Subject: "retraind.in.v1.news.labels", Reply: unread, Data: []byte("{}")},
	} {
		if err := conn.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	// This request is answered only after everything that was sent before it was handled.
	outside, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outside.Publish(t.Context(), "retraind.in.v1.news.labels", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{notify.Stream: 1, "RETRAIND_LABELS": 2, "KV_" + notify.Bucket: 0} {
		stream, err := inside.Stream(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := stream.CachedInfo().State; got.Msgs != want || got.LastSeq != want || got.Consumers != 0 {
			t.Errorf("%s: %+v, want %d messages and no consumer", name, got, want)
		}
	}
}
