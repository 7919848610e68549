package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/internal/natstest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/notify"
)

// outbox is an in-memory table of entries.
type outbox struct {
	mu       sync.Mutex
	entries  []notify.OutboxEntry
	done     map[string]bool
	failMark int           // this many calls of MarkPublished fail after the publish, as in a crash between the two
	changed  chan struct{} // receives after each mark
}

func newOutbox() *outbox {
	return &outbox{done: map[string]bool{}, changed: make(chan struct{}, 1000)}
}

func (o *outbox) add(entries ...notify.OutboxEntry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, entries...)
}

func (o *outbox) Pending(_ context.Context, limit int) ([]notify.OutboxEntry, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []notify.OutboxEntry
	for _, e := range o.entries {
		if !o.done[e.ID] && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, nil
}

func (o *outbox) MarkPublished(_ context.Context, ids []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failMark > 0 {
		o.failMark--
		return errors.New("disk full")
	}
	for _, id := range ids {
		o.done[id] = true
	}
	o.changed <- struct{}{}
	return nil
}

func (o *outbox) left() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.entries) - len(o.done)
}

// wait blocks until everything is marked.
func (o *outbox) wait(t *testing.T) {
	t.Helper()
	deadline := time.After(waittest.Patience)
	for o.left() > 0 {
		select {
		case <-o.changed:
		case <-deadline:
			t.Fatalf("%d entries are still in the outbox", o.left())
		}
	}
}

// entry makes the entry of a real event.
func entry(t *testing.T, kind notify.Kind, data any) notify.OutboxEntry {
	t.Helper()
	e, err := notify.New(kind, "m", "r_1", data, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	body, err := notify.Encode(e, "host")
	if err != nil {
		t.Fatal(err)
	}
	return notify.OutboxEntry{ID: e.ID, Subject: notify.Subject(e.Model, e.Kind), Body: body, Key: e.Key}
}

// drain runs a Drain until the test ends.
func drain(t *testing.T, o *outbox, conn *nats.Conn) *notify.Drain {
	t.Helper()
	d := notify.NewDrain(o, conn, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	return d
}

// stored lists the ids in the stream, in order.
func stored(t *testing.T, conn *nats.Conn) []string {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), notify.Stream)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if got := msg.Header.Get("Content-Type"); got != notify.ContentType {
			t.Errorf("content type %q", got)
		}
		ids = append(ids, msg.Header.Get(jetstream.MsgIDHeader))
	}
	return ids
}

func ids(entries []notify.OutboxEntry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.ID)
	}
	return list
}

// connected waits until conn is connected again.
func connected(t *testing.T, conn *nats.Conn) {
	t.Helper()
	if err := conn.FlushTimeout(10 * time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestOutageLosesNothingAndKeepsOrder(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	conn := server.Connect()
	o := newOutbox()
	d := drain(t, o, conn)
	for round := range 3 {
		for i := range 150 { // more than two batches
			o.add(entry(t, notify.RunStep, notify.Step{Step: fmt.Sprint(round, i)}))
		}
		d.Poke()
		if round == 1 {
			server.Down() // in the middle of the second round
			for range 50 {
				o.add(entry(t, notify.RunStep, notify.Step{}))
				d.Poke()
			}
			server.Up()
		}
		o.wait(t)
	}
	connected(t, conn)
	if diff := cmp.Diff(ids(o.entries), stored(t, conn)); diff != "" {
		t.Errorf("the stream is not the outbox (-want +got):\n%s", diff)
	}
	waittest.EventuallyHolds(t, "the health to be up", func() (bool, error) { // it is updated after the outbox
		h := d.Health()
		return h.Up && h.Published == int64(len(o.entries)), fmt.Errorf("health %+v", h)
	})
}

func TestServerAwayAtTheStart(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	server.Down()
	conn, err := notify.Connect(&notify.Config{URL: server.URL()}, "retraind/test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("the start requires NATS: %v", err)
	}
	t.Cleanup(conn.Close)
	o := newOutbox()
	o.add(entry(t, notify.DaemonStarted, notify.Up{}))
	d := drain(t, o, conn)
	if h := d.Health(); h.Up {
		t.Errorf("up without a server: %+v", h)
	}
	server.Up()
	o.wait(t)
}

func TestCrashBetweenPublishAndMarkIsNotADouble(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	conn := server.Connect()
	o := newOutbox()
	o.failMark = 2
	for range 5 {
		o.add(entry(t, notify.ModelDeployed, notify.Deployed{}))
	}
	d := drain(t, o, conn)
	o.wait(t)
	if diff := cmp.Diff(ids(o.entries), stored(t, conn)); diff != "" {
		t.Errorf("the stream is not the outbox (-want +got):\n%s", diff)
	}
	server.Restart() // the memory of message ids must survive it
	o.mu.Lock()
	clear(o.done)
	o.mu.Unlock()
	d.Poke()
	o.wait(t)
	connected(t, conn)
	if got := stored(t, conn); len(got) != 5 {
		t.Errorf("%d events in the stream after sending five again", len(got))
	}
}

func TestLateWatcherSeesWhatServes(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	conn := server.Connect()
	o := newOutbox()
	first := entry(t, notify.ModelDeployed, notify.Deployed{Release: "one"})
	second := entry(t, notify.ModelDeployed, notify.Deployed{Release: "two", Previous: "one"})
	o.add(first, second, entry(t, notify.RunFinished, notify.Finished{}))
	drain(t, o, conn)
	o.wait(t)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(t.Context(), notify.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := bucket.Watch(t.Context(), "m.current")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := watcher.Stop(); err != nil {
			t.Error(err)
		}
	}()
	seen := <-watcher.Updates()
	if !bytes.Equal(seen.Value(), second.Body) {
		t.Errorf("a late subscriber gets %s", seen.Value())
	}
	previous, err := bucket.Get(t.Context(), "m.previous")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(previous.Value(), first.Body) {
		t.Errorf("previous is %s", previous.Value())
	}
	keys, err := bucket.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"m.current", "m.previous"}, keys); diff != "" {
		t.Error(diff)
	}
}

// If two deployments are published again, because they could not be marked, the bucket does not return to the first
// one.
func TestTheBucketNeverGoesBack(t *testing.T) {
	t.Parallel()
	conn := natstest.Start(t).Connect()
	o := newOutbox()
	o.failMark = 2
	first := entry(t, notify.ModelDeployed, notify.Deployed{Release: "one"})
	second := entry(t, notify.ModelDeployed, notify.Deployed{Release: "two", Previous: "one"})
	o.add(first, second)
	drain(t, o, conn)
	o.wait(t)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(t.Context(), notify.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]string{
		"m.current": {string(first.Body), string(second.Body)}, "m.previous": {string(first.Body)},
	} {
		all, err := bucket.History(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range all {
			got = append(got, string(e.Value()))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the values of %s (-want +got):\n%s", key, diff)
		}
	}
}

func TestAnOperatorsStreamStays(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	conn := server.Connect()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	own := jetstream.StreamConfig{
		Name: notify.Stream, Subjects: []string{"retraind.evt.v1.>"}, MaxMsgs: 7,
		MaxAge: time.Hour,
	}
	if _, err := js.CreateStream(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if _, err := notify.Assets(t.Context(), js, log); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), notify.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config; got.MaxMsgs != 7 || got.MaxAge != time.Hour {
		t.Errorf("an operator's limits were changed: %+v", got)
	}
	own.Subjects = []string{"other.>"}
	if _, err := js.UpdateStream(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if _, err := notify.Assets(t.Context(), js, log); err == nil || err.Error() !=
		"stream RETRAIND_EVENTS has the subjects [other.>], but not retraind.evt.v1.> (add that subject, or rename the stream)" {
		t.Errorf("a stream that cannot take events: %v", err)
	}
}
