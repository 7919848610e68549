package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/natstest"
)

// serveNATS answers requests with a fake daemon and returns a client's connection.
func serveNATS(t *testing.T, f fake, write bool, log *slog.Logger) *nats.Conn {
	t.Helper()
	server := natstest.Start(t)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	conn := server.Connect()
	go func() {
		defer close(done)
		_ = ServeNATS(ctx, conn, f, ServiceOptions{Version: "dev", Host: "h", Models: []string{"news"}, Write: write}, log)
	}()
	t.Cleanup(func() { stop(); <-done })
	client := server.Connect()
	for { // until it answers
		if _, err := client.Request("$SRV.PING.retraind", nil, 100*time.Millisecond); err == nil {
			return client
		}
		if t.Context().Err() != nil {
			t.Fatal("the service does not answer")
		}
	}
}

func ask(t *testing.T, conn *nats.Conn, subject, body string) (code, text string) {
	t.Helper()
	m, err := conn.Request(subject, []byte(body), 10*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return m.Header.Get(micro.ErrorCodeHeader), m.Header.Get(micro.ErrorHeader) + string(m.Data)
}

func TestNATSRequests(t *testing.T) {
	t.Parallel()
	asked := make(chan Request, 10)
	conn := serveNATS(t, fake{
		trigger: func(_ context.Context, model string, r Request) (Triggered, error) {
			asked <- r
			switch model {
			case "news":
				return Triggered{Run: "r1", Text: "run r1 starts now"}, nil
			case "busy":
				return Triggered{}, &Refusal{Code: 409, Text: "run r0 has not ended"}
			}
			return Triggered{}, fmt.Errorf("%w: no model %q", ErrNotFound, model)
		},
		evaluate: func(context.Context, string) (drift.Report, error) { return drift.Report{Model: "news"}, nil },
		snapshot: func(context.Context) (Status, error) {
			return Status{Models: []Model{{Name: "news", Phase: Watching}}}, nil
		},
	}, true, slog.New(slog.DiscardHandler))
	now := time.Now().UTC()
	stamp := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	for _, c := range []struct{ subject, body, code, want string }{
		{"news.trigger", "", "", `"run":"r1"`},
		{"news.trigger", `{"id": "q1", "reason": "new labels", "at": "` + stamp(-time.Minute) + `"}`, "", `"run":"r1"`},
		{"busy.trigger", "", "409", "run r0 has not ended"},
		{"nobody.trigger", "", "404", "no model"},
		{"news.trigger", `{"at": "` + stamp(-time.Hour) + `"}`, "410", "at most 10m0s is accepted"},
		{"news.evaluate", `{"at": "` + stamp(-time.Hour) + `"}`, "410", "old"},
		{"news.trigger", `{"at": "` + stamp(time.Hour) + `"}`, "410", "ahead of the daemon's clock"},
		{"news.trigger", `{"pipelin": "full"}`, "400", "unknown field"},
		{"news.trigger", `{} {}`, "400", "there is more data"},
		{"news.trigger", `rm -rf /`, "400", "the request is not valid"},
		{"news.trigger", strings.Repeat(" ", 10) + `{"reason": "` + strings.Repeat("x", 70000) + `"}`, "400", "at most"},
		{"news.trigger", `{"id": "` + strings.Repeat("x", 300) + `"}`, "400", "at most 256"},
		{"news.evaluate", "", "", `"model":"news"`},
		{"news.status", "", "", `"phase":"watching"`},
		{"other.status", "", "404", "configured: news"},
		{"_daemon.status", "", "", `"models":[`},
		{"news.runs", `{"limit": 5000}`, "400", "between 1 and 1000"},
	} {
		code, text := ask(t, conn, ServiceRoot+"."+c.subject, c.body)
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s %.60s: %q %s, want %q %s", c.subject, c.body, code, text, c.code, c.want)
		}
	}
	<-asked
	if r := <-asked; r.ID != "q1" || r.Reason != "new labels" || r.By != "NATS" || r.At.IsZero() {
		t.Errorf("request %+v", r)
	}
	m, err := conn.Request("$SRV.INFO.retraind", nil, 10*time.Second)
	var info micro.Info
	if err == nil {
		err = json.Unmarshal(m.Data, &info)
	}
	if err != nil || info.Version != "0.0.0" || len(info.Endpoints) != 8 {
		t.Errorf("info %+v, %v", info, err)
	}
	// A request with an invalid reply subject: nothing is done.
	for range len(asked) {
		<-asked
	}
	if err := conn.PublishRequest(ServiceRoot+".news.trigger", "retraind.api.v1.news.trigger", nil); err != nil {
		t.Fatal(err)
	}
	if code, _ := ask(t, conn, ServiceRoot+".busy.trigger", ""); code != "409" || len(asked) != 1 {
		t.Errorf("a request with an invalid reply subject was carried out")
	}
}

func TestNATSRequestsThatMayOnlyRead(t *testing.T) {
	t.Parallel()
	conn := serveNATS(t, fake{
		snapshot: func(context.Context) (Status, error) { return Status{Models: []Model{{Name: "news"}}}, nil },
	}, false, slog.New(slog.DiscardHandler))
	if code, text := ask(t, conn, ServiceRoot+".news.trigger", ""); code != "403" ||
		!strings.Contains(text, "nats.requests") {
		t.Errorf("%s %s", code, text)
	}
	if code, text := ask(t, conn, ServiceRoot+".news.status", ""); code != "" {
		t.Errorf("%s %s", code, text)
	}
}

// An answer that is larger than a message may be is an error: without an answer the client waits until its timeout.
func TestNATSAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	conn := serveNATS(t, fake{
		runs: func(_ context.Context, _ string, limit int) ([]Run, error) {
			return []Run{{ID: "r1", Reason: strings.Repeat("x", limit*10_000)}}, nil
		},
	}, false, slog.New(slog.DiscardHandler))
	if code, text := ask(t, conn, ServiceRoot+".news.runs", `{"limit": 500}`); code != "500" ||
		!strings.Contains(text, "at most 1048576") {
		t.Errorf("%q %.200s", code, text)
	}
	if code, text := ask(t, conn, ServiceRoot+".news.runs", `{"limit": 50}`); code != "" {
		t.Errorf("%q %.200s", code, text)
	}
}

// A stream that captures the subjects of requests is reported, because clients would take its acknowledgement for the
// answer.
func TestNATSRequestsUnderAStream(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	conn := server.Connect()
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALL", Subjects: []string{"retraind.>"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	log := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) { said <- string(b) }), nil))
	(&service{ctx: t.Context(), log: log}).warn(conn)
	if text := <-said; !strings.Contains(text, "stream=ALL") {
		t.Errorf("%s", text)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
