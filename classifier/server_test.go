package classifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/internal/waittest"
)

// site is a served directory in which a test makes and switches releases.
type site struct {
	t    *testing.T
	root string
	link string
}

func newSite(t *testing.T) *site {
	root := t.TempDir()
	return &site{t: t, root: root, link: filepath.Join(root, "current")}
}

// release makes a complete release directory.
func (s *site) release(id string, seed uint64) string {
	s.t.Helper()
	dir := filepath.Join(s.root, "releases", id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := train(s.t, seed, examples(seed, 90)).Save(dir); err != nil {
		s.t.Fatal(err)
	}
	write(s.t, filepath.Join(dir, classifier.ReleaseFile), fmt.Sprintf(`{"digest":"sha256:%s","run":"r"}`, id))
	return dir
}

// point switches the link atomically, as a deploy does.
func (s *site) point(id string) {
	s.t.Helper()
	next := filepath.Join(s.root, ".next")
	os.Remove(next)
	if err := os.Symlink(filepath.Join("releases", id), next); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.link); err != nil {
		s.t.Fatal(err)
	}
}

func ask(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s %s answers as %q", method, path, ct)
	}
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s answers %q", method, path, w.Body)
	}
	return w.Code, w.Body.String()
}

func TestServer(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if code, body := ask(t, s, "GET", "/health", ""); code != 503 || body != `{"status":"no model"}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := ask(t, s, "POST", "/classify", `{"title":"Tor"}`); code != 503 {
		t.Error(code)
	}
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "is a release deployed?") {
		t.Error(err)
	}
	site.release("one", 1)
	site.point("one")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	var health struct {
		Status, Release string
		Categories      []string
		LoadedAt        time.Time `json:"loaded_at"`
	}
	code, body := ask(t, s, "GET", "/health", "")
	if err := json.Unmarshal([]byte(body), &health); err != nil || code != 200 || health.Status != "ok" ||
		health.Release != "sha256:one" || len(health.Categories) != 3 || health.LoadedAt.IsZero() {
		t.Errorf("%d %s %v", code, body, err)
	}
	var result classifier.Result
	code, body = ask(t, s, "POST", "/classify",
		`{"title":"Elfmeter","content":"Tor im Stadion","kicker":"Pokal","teaser":null}`)
	if err := json.Unmarshal([]byte(body), &result); err != nil || code != 200 || result.Label != "Sport" ||
		result.Release != "sha256:one" || result.Confidence <= .4 || result.Confidence > 1 {
		t.Errorf("%d %s %v", code, body, err)
	}
	var batch struct{ Results []classifier.Result }
	code, body = ask(t, s, "POST", "/classify/batch",
		`{"items":[{"title":"Elfmeter","content":"Tor im Stadion","kicker":"Pokal","teaser":null},{"title":"Oper Premiere Theater"}]}`)
	if err := json.Unmarshal([]byte(body), &batch); err != nil || code != 200 || len(batch.Results) != 2 ||
		batch.Results[0] != result || batch.Results[1].Label != "Kultur" {
		t.Errorf("%d %s %v", code, body, err)
	}
	if code, body := ask(t, s, "POST", "/classify/batch", `{"items":[]}`); code != 200 || body != `{"results":[]}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
}

func TestServerRefuses(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.release("one", 1)
	site.point("one")
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method, path, body string
		code               int
		says               string
	}{
		"bad JSON":       {"POST", "/classify", "{title}", 400, "not the JSON that is expected"},
		"empty body":     {"POST", "/classify", "", 400, "not the JSON"},
		"no text":        {"POST", "/classify", "{}", 400, "no text"},
		"null":           {"POST", "/classify", "null", 400, "no text"},
		"number":         {"POST", "/classify", `{"title":5}`, 400, "number"},
		"bad batch":      {"POST", "/classify/batch", `[{"title":"x"}]`, 400, "not the JSON"},
		"hole in batch":  {"POST", "/classify/batch", `{"items":[{"title":"x"},{}]}`, 400, "items[1]"},
		"too large":      {"POST", "/classify", `{"title":"` + strings.Repeat("x", 17<<20) + `"}`, 413, "larger than"},
		"wrong method":   {"GET", "/classify", "", 405, "accepts POST"},
		"health by POST": {"POST", "/health", "{}", 405, "accepts GET"},
		"other path":     {"GET", "/", "", 404, "POST /classify"},
	} {
		code, body := ask(t, s, c.method, c.path, c.body)
		if code != c.code || !strings.Contains(body, c.says) || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

func TestBrokenReleaseKeepsTheOldModel(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.release("good", 1)
	site.point("good")
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(dir string){
		"cut off model": func(dir string) { _ = os.Truncate(filepath.Join(dir, classifier.FileName), 1000) },
		"no model":      func(dir string) { os.Remove(filepath.Join(dir, classifier.FileName)) },
		"no release":    func(dir string) { os.Remove(filepath.Join(dir, classifier.ReleaseFile)) },
		"no digest":     func(dir string) { write(t, filepath.Join(dir, classifier.ReleaseFile), "{}") },
		"half a file":   func(dir string) { write(t, filepath.Join(dir, classifier.ReleaseFile), `{"dig`) },
	} {
		id := strings.ReplaceAll(name, " ", "-")
		damage(site.release(id, 2))
		site.point(id)
		if err := s.Reload(); err == nil {
			t.Errorf("%s is loaded", name)
		}
		if code, body := ask(t, s, "GET", "/health", ""); code != 200 || !strings.Contains(body, "sha256:good") {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

// start serves a site on loopback until the test ends.
func start(t *testing.T, s *classifier.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

func TestSwapUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.release("a", 1)
	site.release("b", 2)
	site.point("a")
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	watched := make(chan error, 1)
	go func() { watched <- s.Watch(ctx) }()
	url := start(t, s)

	body := []byte(`{"title":"Elfmeter","content":"Tor im Stadion"}`)
	seen := make(chan string, 1024)
	stopAsking := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stopAsking:
					return
				default:
				}
				resp, err := http.Post(url+"/classify", "application/json", bytes.NewReader(body))
				if err != nil {
					t.Errorf("failed request: %v", err)
					return
				}
				var result classifier.Result
				err = json.NewDecoder(resp.Body).Decode(&result)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || result.Label != "Sport" {
					t.Errorf("%d %+v %v", resp.StatusCode, result, err)
					return
				}
				select {
				case seen <- result.Release:
				default:
				}
			}
		})
	}
	// The test waits until the answers show each switch.
	for _, id := range []string{"b", "a", "b", "a", "b"} {
		site.point(id)
		for release := ""; release != "sha256:"+id; {
			select {
			case release = <-seen:
			case <-ctx.Done():
				t.Fatalf("%s was not served", id)
			}
		}
	}
	close(stopAsking)
	wg.Wait()
	stop()
	if err := <-watched; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// lines collects a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

func TestWatchWaitsForTheFirstReleaseAndOutlivesABrokenOne(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	log := &lines{}
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link, Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	watched := make(chan struct{})
	go func() { _ = s.Watch(ctx); close(watched) }()
	site.release("one", 1)
	site.point("one")
	waittest.Eventually(t, "the first release", func() bool { return s.Release() == "sha256:one" })
	os.Remove(filepath.Join(site.release("broken", 2), classifier.FileName))
	site.point("broken")
	waittest.Eventually(t, "a complaint",
		func() bool { return log.count("the present model stays in use") > 0 && log.count("broken") > 0 })
	if s.Release() != "sha256:one" {
		t.Errorf("serves %q", s.Release())
	}
	site.release("two", 3)
	site.point("two")
	waittest.Eventually(t, "the repaired release", func() bool { return s.Release() == "sha256:two" })
	stop()
	<-watched
}

func TestWithoutWatchTheOldModelStays(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.release("one", 1)
	site.release("two", 2)
	site.point("one")
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	url := start(t, s)
	site.point("two")
	resp, err := http.Get(url + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !bytes.Contains(body, []byte("sha256:one")) {
		t.Errorf("%s", body)
	}
}

func TestServeLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.release("one", 1)
	site.point("one")
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Half a request is in progress at shutdown; the server asks for the rest with 100 Continue once it reads.
	fmt.Fprintf(conn, "POST /classify HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n")
	first := make([]byte, 25)
	if _, err := io.ReadFull(conn, first); err != nil || !bytes.Contains(first, []byte("100 Continue")) {
		t.Fatalf("%q %v", first, err)
	}
	stop()
	io.WriteString(conn, `{"title":"Tor"}`)
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("200 OK")) || !bytes.Contains(answer, []byte(`"label"`)) {
		t.Errorf("%q %v", answer, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A service is replaced by another one on the same socket repeatedly while clients send requests: no request is cut
// off.
func TestExchangeFailsNoRequest(t *testing.T) {
	t.Parallel()
	dir := newSite(t).release("one", 1)
	socket, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	begin := func() (end func() error) {
		f, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		s := classifier.NewServer(classifier.ServerOptions{Dir: dir})
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		return func() error { stop(); return <-done }
	}
	end := begin()
	var asked, failed atomic.Int64
	leave := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		clients.Go(func() {
			for {
				select {
				case <-leave:
					return
				default:
				}
				resp, err := client.Post("http://"+socket.Addr().String()+"/classify", "application/json",
					strings.NewReader(`{"title": "Tor"}`))
				asked.Add(1)
				if err != nil {
					failed.Add(1)
					t.Log(err)
					continue
				}
				resp.Body.Close()
			}
		})
	}
	for range 40 {
		next := begin()
		for from := asked.Load(); asked.Load() < from+8; { // both accept for some time
			runtime.Gosched()
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		end = next
	}
	close(leave)
	clients.Wait()
	if err := end(); err != nil {
		t.Error(err)
	}
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}
