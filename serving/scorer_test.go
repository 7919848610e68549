package serving_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// serve starts a classifier with the test's handler.
func serve(t *testing.T, handler http.HandlerFunc, change func(*serving.Config)) *serving.Scorer {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := serving.Config{
		Classify: server.URL + "/classify", Health: server.URL + "/health",
		Concurrency: 4, Timeout: unit.Duration(20 * time.Second),
	}
	if change != nil {
		change(&config)
	}
	s := serving.NewScorer(config)
	t.Cleanup(s.Close)
	return s
}

func texts(n int) []serving.Text {
	out := make([]serving.Text, n)
	for i := range out {
		fields := map[string]string{"title": fmt.Sprint("t", i)}
		out[i] = serving.Text{Item: fmt.Sprint(i), Hash: drift.TextHash(fields), Fields: fields}
	}
	return out
}

// echo answers with the title as label.
func echo(w http.ResponseWriter, r *http.Request) {
	var fields map[string]string
	if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, `{"label":%q,"confidence":0.5,"release":"sha256:x"}`, fields["title"])
}

func TestScore(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if r.Method != http.MethodPost || r.URL.Path != "/classify" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		echo(w, r)
	}, nil)
	got := map[string]serving.Answer{}
	if err := s.Score(t.Context(), texts(500),
		func(text serving.Text, a serving.Answer) { got[text.Item] = a }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 500 {
		t.Errorf("%d answers", len(got))
	}
	for item, a := range got {
		if a.Values["label"] != "t"+item || a.Confidence != .5 || a.Release != "sha256:x" || a.Took <= 0 {
			t.Fatalf("item %s: %+v", item, a)
		}
	}
	if most.Load() > 4 {
		t.Errorf("%d requests at once, 4 allowed", most.Load())
	}
}

func TestScoreKeepsItsConnections(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	s := serving.NewScorer(serving.Config{Classify: server.URL, Health: server.URL, Concurrency: 8})
	t.Cleanup(s.Close)
	for range 5 {
		if err := s.Score(t.Context(), texts(200), func(serving.Text, serving.Answer) {}); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n > 24 { // a transport with the default of two idle connections needs hundreds
		t.Errorf("%d connections for 8 at a time", n)
	}
}

func TestFieldNamesAreMapped(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"content":"c","headline":"t"}` {
			t.Errorf("%s", body)
		}
		io.WriteString(w, `{"label":"a"}`)
	}, func(c *serving.Config) { c.Fields = map[string]string{"title": "headline"} })
	one := []serving.Text{{Item: "1", Fields: map[string]string{"title": "t", "content": "c"}}}
	if err := s.Score(t.Context(), one, func(serving.Text, serving.Answer) {}); err != nil {
		t.Error(err)
	}
}

func TestServiceFaults(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		is      error
		says    []string
	}{
		"500": {
			answer(500, "tokenizer exploded"+strings.Repeat("!", 500)), serving.ErrService,
			[]string{"status 500", "tokenizer exploded", "…", "log", "item "},
		},
		"422": {
			answer(422, `{"detail":"field required"}`), serving.ErrService,
			[]string{"status 422", "serving.fields"},
		},
		"404":          {answer(404, "no"), serving.ErrService, []string{"status 404", "is the URL right?"}},
		"non-JSON":     {answer(200, "<html>"), serving.ErrService, []string{"not a JSON object", "<html>", "item "}},
		"absent field": {answer(200, `{"class":"a"}`), serving.ErrService, []string{`no field "label"`, "class"}},
		"too large":    {answer(200, strings.Repeat("x", 2<<20)), serving.ErrService, []string{"larger than"}},
		"503":          {answer(503, `{"status":"no model"}`), serving.ErrAsleep, []string{"503", "no model"}},
		"hangs up": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, serving.ErrService,
			[]string{"closed the connection", "crash"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.handler, nil)
			err := s.Score(t.Context(), texts(100), func(serving.Text, serving.Answer) { t.Error("an answer") })
			if !errors.Is(err, c.is) {
				t.Fatalf("%v is not %v", err, c.is)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Count(err.Error(), "!") > 250 {
				t.Errorf("the whole body is in the message")
			}
		})
	}
}

func TestSlowServiceIsAFault(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, func(c *serving.Config) { c.Timeout = unit.Duration(time.Second) }) // long enough to connect on a busy machine
	t.Cleanup(func() { close(release) })
	err := s.Score(t.Context(), texts(1), func(serving.Text, serving.Answer) {})
	if !errors.Is(err, serving.ErrService) || errors.Is(err, serving.ErrAsleep) ||
		!strings.Contains(err.Error(), "no answer within 1s") {
		t.Error(err)
	}
}

// unheard returns a URL at which nothing listens. The port stays bound, so that no other test gets it.
func unheard(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}

func TestServiceAway(t *testing.T) {
	t.Parallel()
	url := unheard(t)
	s := serving.NewScorer(serving.Config{Classify: url, Health: url})
	err := s.Score(t.Context(), texts(50), func(serving.Text, serving.Answer) {})
	if !errors.Is(err, serving.ErrAsleep) || !strings.Contains(err.Error(), "nothing listens") {
		t.Error(err)
	}
	if _, err := s.Health(t.Context()); !errors.Is(err, serving.ErrAsleep) {
		t.Error(err)
	}
	unknown := serving.NewScorer(serving.Config{
		Classify: "http://no-such-host.invalid",
		Health:   "http://no-such-host.invalid",
	})
	if _, err := unknown.Health(t.Context()); !errors.Is(err, serving.ErrAsleep) {
		t.Error(err)
	}
}

func TestHalfTheResultsAreKept(t *testing.T) {
	t.Parallel()
	// Every third text fails: the others are still asked.
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var fields map[string]string
		err := json.NewDecoder(r.Body).Decode(&fields)
		n, bad := strconv.Atoi(strings.TrimPrefix(fields["title"], "t"))
		if err != nil || bad != nil {
			t.Errorf("asked %v: %v, %v", fields, err, bad)
		}
		if n%3 == 0 {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		io.WriteString(w, `{"label":"a"}`)
	}, func(c *serving.Config) { c.Concurrency = 1 })
	got := 0
	err := s.Score(t.Context(), texts(90), func(serving.Text, serving.Answer) { got++ })
	if got != 60 || !errors.Is(err, serving.ErrService) || !strings.Contains(err.Error(), "30 of 90 texts failed") {
		t.Errorf("%d answers, %v", got, err)
	}

	// The service becomes unreachable midway: earlier answers are kept, and the rest is not asked.
	var asked atomic.Int64
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 10 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		echo(w, r)
	}, nil)
	got = 0
	err = s.Score(t.Context(), texts(1000), func(serving.Text, serving.Answer) { got++ })
	if got > 10 || got < 7 || !errors.Is(err, serving.ErrAsleep) || asked.Load() > 20 {
		t.Errorf("%d answers of %d asked, %v", got, asked.Load(), err)
	}
}

func TestScoreGivesUp(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}, nil)
	err := s.Score(t.Context(), texts(10_000), func(serving.Text, serving.Answer) {})
	if !errors.Is(err, serving.ErrService) ||
		!strings.Contains(err.Error(), " of 10000 texts failed (stopped after 8 failures in a row), the first: item ") {
		t.Error(err)
	}
	if n := asked.Load(); n > 20 {
		t.Errorf("a broken service was asked %d times", n)
	}
}

func TestScoreStopsWithItsContext(t *testing.T) {
	t.Parallel()
	stopping := errors.New("stopping")
	ctx, stop := context.WithCancelCause(t.Context())
	s := serve(t, echo, nil)
	got := 0
	err := s.Score(ctx, texts(10_000), func(serving.Text, serving.Answer) {
		if got++; got == 5 {
			stop(stopping)
		}
	})
	if !errors.Is(err, stopping) || errors.Is(err, serving.ErrService) || got > 20 {
		t.Errorf("%d answers, %v", got, err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	status, body := http.StatusOK, `{"status":"ok","model":{"digest":"sha256:abc"}}`
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/health" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}, func(c *serving.Config) { c.HealthRelease = "model.digest" })
	if h, err := s.Health(t.Context()); err != nil || !h.OK || h.Release != "sha256:abc" ||
		!strings.Contains(h.Raw, "status") {
		t.Errorf("%+v, %v", h, err)
	}
	body = `{"status":"ok"}`
	if h, err := s.Health(t.Context()); err != nil || !h.OK || h.Release != "" {
		t.Errorf("%+v, %v", h, err)
	}
	body = `OK`
	if h, err := s.Health(t.Context()); !errors.Is(err, serving.ErrService) || h.OK {
		t.Errorf("%+v, %v", h, err)
	}
	status, body = http.StatusServiceUnavailable, `{"status":"no model"}`
	if h, err := s.Health(t.Context()); !errors.Is(err, serving.ErrAsleep) || h.OK {
		t.Errorf("%+v, %v", h, err)
	}
}

// No error contains the password of a URL.
func TestErrorsHidePasswords(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"status":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"asleep":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"no object": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") },
		"closed":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s := serve(t, answer, func(c *serving.Config) {
			c.Classify = strings.Replace(c.Classify, "://", "://bob:geheim@", 1)
			c.Health = strings.Replace(c.Health, "://", "://bob:geheim@", 1)
		})
		_, err := s.Health(t.Context())
		scored := s.Score(t.Context(), texts(1), func(serving.Text, serving.Answer) {})
		for _, err := range []error{err, scored} {
			if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "bob:xxxxx@") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
