package evaluator

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// An error of the service that lasts is logged once, although scoring is retried every minute. The same error after a
// success is logged again.
func TestLastingErrorIsLoggedOnce(t *testing.T) {
	t.Parallel()
	l, _ := decider(t)
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "CUDA error", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(`{"label": "a"}`))
	}))
	t.Cleanup(server.Close)
	c := l.rules.Model.Serving
	c.Health, c.Classify = server.URL, server.URL
	var out bytes.Buffer
	l.log, l.scorer = slog.New(slog.NewTextHandler(&out, nil)), serving.NewScorer(c)
	l.o.Beat, l.o.BeatEvery = func() {}, time.Minute
	t.Cleanup(func() { l.scorer.Close() })
	l.monitor = drift.NewMonitor(drift.Options{Model: "m"})
	l.monitor.Reset(drift.Release{Digest: "c"}, nil)
	score := func(item string, fails bool) {
		t.Helper()
		broken.Store(fails)
		it := store.Item{ID: item, Heldout: true, Text: map[string]string{"content": item}, Labels: map[string]string{"label": "a"}}
		it.TextHash = drift.TextHash(it.Text)
		if err := l.o.Store.Update(t.Context(), "test", func(tx *store.Tx) error { return tx.PutItems("m", it) }); err != nil {
			t.Fatal(err)
		}
		l.monitor.Put(drift.LabelChange{Item: it.ID, Heldout: true, TextHash: it.TextHash, New: it.Labels, Inserted: true})
		if _, err := l.score(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := len(l.monitor.Unscored()); (left > 0) != fails {
			t.Fatalf("item %s: %d texts are unscored", item, left)
		}
	}
	for n, s := range []struct {
		fails bool
		lines int // logged so far
	}{{true, 1}, {true, 1}, {false, 1}, {true, 2}, {true, 2}} {
		score(string(rune('a'+n)), s.fails)
		if got := strings.Count(out.String(), "some held-out texts are not scored"); got != s.lines {
			t.Errorf("round %d: %d lines, want %d:\n%s", n, got, s.lines, out.String())
		}
	}
}
