package status

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (go test ./status -update, if intended):\n%s", path, diff)
	}
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newTestPage serves the page of a backend.
func newTestPage(t *testing.T, backend fake) http.Handler {
	t.Helper()
	h, err := Page(backend, NewMetrics(backend, "0.1.0"), quietLog())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "127.0.0.1:8080"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageGolden(t *testing.T) {
	t.Parallel()
	fresh := storied()
	fresh.snapshot = func(context.Context) (Status, error) {
		s := status()
		s.Config.Problem, s.Config.RestartNeeded, s.OutboxPending = "", nil, 0
		s.Models = []Model{
			{Name: "new", Phase: Watching, Sentence: "no release yet"},
			{Name: "other", Phase: Broken, Sentence: "the service answers 500"},
		}
		return s, nil
	}
	fresh.explain, fresh.history, fresh.runs, fresh.releases = nil, nil, nil, nil
	empty := fake{snapshot: func(context.Context) (Status, error) { s := status(); s.Models = nil; return s, nil }}
	for name, backend := range map[string]fake{"page.html": storied(), "fresh.html": fresh, "empty.html": empty} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := get(newTestPage(t, backend), "/")
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			golden(t, name, w.Body.Bytes())
		})
	}
}

// Nothing on the page comes from other hosts, nothing runs inline, and text from labels and commands is escaped.
func TestPageIsClosed(t *testing.T) {
	t.Parallel()
	w := get(newTestPage(t, storied()), "/")
	if got := w.Header().Get("Content-Security-Policy"); got != policyHeader || strings.Contains(got, "unsafe") {
		t.Errorf("Content-Security-Policy: %q", got)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	text := w.Body.String()
	for _, pattern := range []string{
		`https?://`, `\sstyle=`, `\son[a-z]+=`, `<script>`, `<b>not bold`, `<min_lables>`,
		`ZgotmplZ`, `NaN`, `%!`,
	} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
	for _, file := range []string{"app.js", "style.css", "icon.svg"} {
		w := get(newTestPage(t, storied()), "/"+file)
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: status %d", file, w.Code)
		}
		outside := strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", "")
		if regexp.MustCompile(`https?://|@import|url\(`).MatchString(outside) {
			t.Errorf("%s loads something from another host", file)
		}
		if !norm.NFC.IsNormalString(outside) {
			t.Errorf("%s is not NFC", file)
		}
	}
}

func TestPageIsReadOnly(t *testing.T) {
	t.Parallel()
	h := newTestPage(t, storied())
	for _, path := range []string{"/", "/v1/reload", "/v1/models/relevance/trigger"} {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
			t.Errorf("POST %s: status %d", path, w.Code)
		}
	}
	if w := get(h, "/v1/status"); w.Code != http.StatusNotFound {
		t.Errorf("the control API answers on the page's listener: status %d", w.Code)
	}
}

func TestPageRefusesForeignNames(t *testing.T) {
	t.Parallel()
	h := newTestPage(t, storied())
	for host, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1": 200, "[::1]:8080": 200, "10.1.2.3:80": 200,
		"evil.example": http.StatusMisdirectedRequest, "localhost.evil.example:8080": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/", "/metrics"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s asked as %s: status %d, want %d", path, host, w.Code, want)
			}
		}
	}
}

func TestPageSaysThatItCannot(t *testing.T) {
	t.Parallel()
	broken := storied()
	broken.history = func(context.Context, string, time.Time) ([]Point, error) { return nil, errors.New("disk full") }
	w := get(newTestPage(t, broken), "/")
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "model relevance: disk full") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func BenchmarkPage(b *testing.B) {
	t, err := parseTemplates()
	if err != nil {
		b.Fatal(err)
	}
	p := page{storied(), t, quietLog()}
	var out bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := p.render(b.Context(), &out); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(out.Len()))
}
