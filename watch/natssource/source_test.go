package natssource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/natstest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// wire is a stream that a Source follows.
type wire struct {
	t      *testing.T
	server *natstest.Server
	js     jetstream.JetStream
	conn   *nats.Conn
	inbox  *watchtest.Inbox
	cfg    *Config
	src    *Source
	stop   func()
	poked  atomic.Int64
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{t: t, server: natstest.Start(t), inbox: watchtest.NewInbox(), cfg: Config{}.WithDefaults("m")}
	w.conn = w.server.Connect()
	js, err := jetstream.New(w.conn)
	if err != nil {
		t.Fatal(err)
	}
	w.js = js
	return w
}

// start runs a source, with a separate connection, until the test or stop ends it.
func (w *wire) start() {
	w.t.Helper()
	w.src = New("m", w.cfg, w.server.Connect(), true, labelevent.NewDecoder(w.cfg.Mapping, watchtest.OneTarget(), nil),
		w.inbox, func(n int) { w.poked.Add(int64(n)) }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.src.Run(ctx) }()
	var once sync.Once
	w.stop = func() { once.Do(func() { cancel(); <-done }) }
	w.t.Cleanup(w.stop)
}

// up waits until the source follows the stream.
func (w *wire) up() {
	w.t.Helper()
	waittest.EventuallyNil(w.t, func() error {
		if h := w.src.Health(); !h.Up {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

func (w *wire) publish(body string, headers ...string) {
	w.t.Helper()
	m := &nats.Msg{Subject: w.cfg.Subject, Data: []byte(body), Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	if _, err := w.js.PublishMsg(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) wants(want ...string) {
	w.t.Helper()
	waittest.EventuallyNil(w.t, func() error {
		if got := strings.Join(w.inbox.Labels(), " "); got != strings.Join(want, " ") {
			return fmt.Errorf("got %s, want %v; %+v", got, want, w.src.Health())
		}
		return nil
	})
}

func TestNATSEventsAreTaken(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.start()
	w.up()
	w.publish(`{"id": "1", "label": "a"}`)
	w.publish(`[{"id": 2, "label": "a"}, {"id": 3, "label": "b"}]`)
	w.publish(watchtest.Line(4, "a") + watchtest.Line(5, "b"))
	w.publish(`{"specversion": "1.0", "id": "e1", "source": "/tool", "type": "label", "time": "2026-01-02T03:04:05Z", "data": {"id": 6, "label": "c"}}`)
	w.publish(`{"id": 7, "label": "d"}`, "ce-specversion", "1.0", "ce-id", "e2", "ce-source", "/tool")
	w.wants("1=a", "2=a", "3=b", "4=a", "5=b", "6=c", "7=d")
	all := w.inbox.Events()
	if all[5].Key != "ce:/tool e1" || all[6].Key != "ce:/tool e2" || all[5].At.Format(time.DateOnly) != "2026-01-02" {
		t.Errorf("events %+v and %+v", all[5], all[6])
	}
	// The same event again, after the server's own deduplication window.
	w.publish(`{"id": 7, "label": "d"}`, "ce-specversion", "1.0", "ce-id", "e2", "ce-source", "/tool")
	w.publish(`{"id": 8, "label": "d"}`)
	w.wants("1=a", "2=a", "3=b", "4=a", "5=b", "6=c", "7=d", "8=d")

	// A restart continues at the position, and the stream is empty once everything is stored.
	w.stop()
	w.publish(`{"id": 9, "label": "e"}`)
	w.start()
	w.wants("1=a", "2=a", "3=b", "4=a", "5=b", "6=c", "7=d", "8=d", "9=e")
	waittest.EventuallyNil(t, func() error {
		s, err := w.js.Stream(t.Context(), DefaultLabelStream)
		if err == nil && s.CachedInfo().State.Msgs > 0 {
			err = fmt.Errorf("%d messages wait to be acknowledged", s.CachedInfo().State.Msgs)
		}
		return err
	})
}

func TestNATSBadEventsGoToTheDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.start()
	w.up()
	bad := map[string]string{
		"not json":                             "not a JSON object",
		`{"id": 1}`:                            "neither a text nor a label",
		`{"id": 1, "label": "` + "\xff" + `"}`: "not valid UTF-8",
		`{"label": "a"}`:                       "no item id",
		`{"id": 1, "label": {"x": 1}}`:         "not a label",
		`{"id": 1, "labels": {"nope": "x"}}`:   "no target",
		fmt.Sprintf(`{"id": 1, "label": %q}`, strings.Repeat("x", 2000)): "the label has",
		`{"id": 1, "label": "a"}{}`:                                      "there is more data",
		`[{"id": 1, "label": "good"}, {"id": 2}]`:                        "event 2",
		"": "empty",
	}
	for body := range bad {
		w.publish(body)
	}
	w.publish(`{"id": 99, "label": "z"}`)
	dead, err := w.js.CreateOrUpdateConsumer(t.Context(), DefaultDeadStream,
		jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	for range bad {
		m, err := dead.Next(jetstream.FetchMaxWait(waittest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		want, known := bad[string(m.Data())]
		if reason := m.Headers().Get("Retraind-Reason"); !known || !strings.Contains(reason, want) {
			t.Errorf("%q: reason %q, want %q", m.Data(), reason, want)
		}
	}
	waittest.EventuallyNil(t, func() error {
		got := map[string]bool{}
		for _, l := range w.inbox.Labels() {
			got[l] = true
		}
		if !maps.Equal(got, map[string]bool{"1=good": true, "99=z": true}) {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
	if h := w.src.Health(); h.Refused != len(bad) || !h.Up {
		t.Errorf("%+v", h)
	}
}

// A message that the store refuses while it accepts others becomes a dead letter after some attempts. While the store
// refuses all messages, they wait.
func TestNATSOneMessageTheStoreRefuses(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.cfg.MaxDeliver = 2
	w.inbox.Poison = "bad"
	w.start()
	w.up()
	w.publish(watchtest.Line(1, "a"))
	w.publish(watchtest.Line("bad", "a"))
	w.publish(watchtest.Line(2, "a"))
	w.wants("1=a", "2=a")
	if h := w.src.Health(); h.Refused != 1 {
		t.Errorf("%+v", h)
	}
	w.inbox.SetFail(errors.New("disk full"))
	w.publish(watchtest.Line(3, "a"))
	waittest.EventuallyNil(t, func() error {
		if h := w.src.Health(); h.Up || !strings.Contains(h.Error, "disk full") {
			return fmt.Errorf("%+v", h)
		}
		w.src.Retry()
		return nil
	})
	for range 5 {
		w.src.Retry()
	}
	w.inbox.SetFail(nil)
	w.src.Retry()
	w.wants("1=a", "2=a", "3=a")
	if h := w.src.Health(); h.Refused != 1 {
		t.Errorf("%+v", h)
	}
}

// The server is killed repeatedly while publishers publish and the source restarts: no event is lost or counted twice,
// and each item ends with the label that was published last.
func TestNATSServerDiesAgainAndAgain(t *testing.T) {
	t.Parallel()
	kills, perKill := 3, 20
	if os.Getenv("RETRAIND_LONG") != "" {
		kills, perKill = 20, 500
	}
	w := newWire(t)
	w.start()
	w.up()
	const publishers = 3
	goOn := make(chan struct{}, publishers)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := range kills * perKill {
				if n%perKill == perKill/2 {
					goOn <- struct{}{}
				}
				m := &nats.Msg{
					Subject: w.cfg.Subject,
					Data:    []byte(watchtest.Line(fmt.Sprintf("%d-%d", p, n%25), fmt.Sprint("v", n))), Header: nats.Header{},
				}
				m.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%d/%d", p, n))
				for { // a publisher without an acknowledgement publishes again
					ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
					_, err := w.js.PublishMsg(ctx, m)
					stop()
					if err == nil {
						break
					}
				}
			}
		})
	}
	for k := range kills {
		for range publishers {
			<-goOn
		}
		w.server.Restart()
		if k%3 == 1 {
			w.stop()
			w.start()
		}
	}
	wg.Wait()
	total := publishers * kills * perKill
	waittest.EventuallyNil(t, func() error {
		if n := len(w.inbox.Events()); n < total {
			w.src.Retry()
			return fmt.Errorf("%d of %d events; %+v", n, total, w.src.Health())
		}
		return nil
	})
	seen := map[string]bool{}
	last := map[string]string{}
	for _, e := range w.inbox.Events() {
		if seen[e.Key] {
			t.Errorf("event %s counted twice", e.Key)
		}
		seen[e.Key] = true
		last[e.Item] = e.Labels["label"]
	}
	if len(seen) != total {
		t.Errorf("%d events, want %d", len(seen), total)
	}
	for p := range publishers {
		for n := range 25 {
			want := ""
			for v := range kills * perKill {
				if v%25 == n {
					want = fmt.Sprint("v", v)
				}
			}
			if got := last[fmt.Sprintf("%d-%d", p, n)]; got != want {
				t.Errorf("item %d-%d ends with %s, want %s", p, n, got, want)
			}
		}
	}
}

func TestNATSForeignStreams(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.cfg.Stream, w.cfg.Subject = "ELSEWHERE", "corrections.news"
	down := func(want string) {
		t.Helper()
		waittest.EventuallyNil(t, func() error {
			if h := w.src.Health(); h.Up || !strings.Contains(h.Error, want) {
				return fmt.Errorf("%+v, want %q", h, want)
			}
			return nil
		})
		w.stop()
	}
	if _, err := w.js.CreateStream(t.Context(),
		jetstream.StreamConfig{Name: "ELSEWHERE", Subjects: []string{"other.>"}}); err != nil {
		t.Fatal(err)
	}
	w.start()
	down("stream ELSEWHERE does not store the subject corrections.news: its subjects are [other.>]")
	w.cfg.Stream = "NOWHERE"
	w.src = New("m", w.cfg, w.server.Connect(), false,
		labelevent.NewDecoder(labelevent.Mapping{}, watchtest.OneTarget(), nil), w.inbox, nil, slog.New(slog.DiscardHandler))
	if err := w.src.follow(t.Context(), func() {}); err == nil ||
		!strings.Contains(err.Error(), "nats stream add NOWHERE --subjects 'corrections.news'") {
		t.Errorf("no stream: %v", err)
	}
	w.cfg = Config{}.WithDefaults("m")
	w.start()
	w.up()
	w.server.Down()
	down("NATS is not reachable")
}

func TestNATSConfig(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		"retraind.in.v1.m.labels": "", "a.*.b": "", "a.>": "",
		"retraind.api.v1.m.trigger": "requests", "retraind.>": "requests", "retraind.evt.v1.>": "own events", ">": "requests",
		"$JS.API.>": "server", "a..b": "empty", "a b": "blank", "a.>.b": "end", "a.b*": "only character",
	} {
		c := Config{Subject: subject}.WithDefaults("m")
		found := fmt.Sprint(c.Validate())
		if subject == "a.>" || subject == "a.*.b" {
			found = subjectFault(subject)
		}
		if want == "" && found != "" && found != "[]" || want != "" && !strings.Contains(found, want) {
			t.Errorf("%s: %s, want %q", subject, found, want)
		}
	}
}

// Check reports a missing stream, or missing subjects, of an external server.
func TestCheckNATS(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	conn := server.Connect()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		return findings(Check(t.Context(), conn, "m", &Config{Stream: "LABELS", Subject: "labels.m"}))
	}
	if got := ask(); !strings.Contains(got, "NATS has no stream LABELS") ||
		!strings.Contains(got, "nats stream add LABELS") {
		t.Errorf("without a stream: %s", got)
	}
	if _, err := js.CreateStream(t.Context(),
		jetstream.StreamConfig{Name: "LABELS", Subjects: []string{"other.>"}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(); !strings.Contains(got, "does not store the subject labels.m") {
		t.Errorf("with other subjects: %s", got)
	}
	if _, err := js.UpdateStream(t.Context(),
		jetstream.StreamConfig{Name: "LABELS", Subjects: []string{"labels.>"}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "" {
		t.Errorf("with the stream: %s", got)
	}
}

// Memory is bounded by the size of a fetch, not by the number of waiting messages.
func TestNATSBacklogNeedsNoMemory(t *testing.T) {
	t.Parallel()
	n := 1500
	if os.Getenv("RETRAIND_LONG") != "" {
		n = 100000
	}
	w := newWire(t)
	w.start()
	w.up()
	w.stop()
	for i := range n {
		if _, err := w.js.PublishAsync(w.cfg.Subject, []byte(watchtest.Line(i, "a"))); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			<-w.js.PublishAsyncComplete()
		}
	}
	<-w.js.PublishAsyncComplete()
	counting := &counter{Inbox: watchtest.NewInbox()}
	w.src = New("m", w.cfg, w.server.Connect(), true, labelevent.NewDecoder(w.cfg.Mapping, watchtest.OneTarget(), nil),
		counting, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Now()
	go func() { _ = w.src.Run(ctx) }()
	waittest.EventuallyNil(t, func() error {
		if got := counting.n.Load(); got != int64(n) {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
	t.Logf("%d events in %s, at most %d at a time", n, time.Since(began).Round(time.Millisecond), counting.most.Load())
	if most := counting.most.Load(); most > maxAckPending {
		t.Errorf("%d events at a time", most)
	}
}

// counter counts events without storing them.
type counter struct {
	*watchtest.Inbox
	n, most atomic.Int64
}

func (c *counter) Take(ctx context.Context, b watch.Batch) (watch.Receipt, error) {
	c.n.Add(int64(len(b.Events)))
	c.most.Store(max(c.most.Load(), int64(len(b.Events))))
	b.Events = nil
	return c.Inbox.Take(ctx, b)
}

// findings returns the findings of a check, one per line.
func findings(found check.Problems) string {
	var out strings.Builder
	for _, p := range found {
		fmt.Fprintf(&out, "%s: %s\n    %s\n", p.Path, p.Message, p.Hint)
	}
	return out.String()
}
