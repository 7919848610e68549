package status

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

// daemon serves a backend on a socket and returns a client for it.
func daemon(t *testing.T, backend Backend) (*Client, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // short: ListenSocket accepts a path of at most 104 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "control.sock")
	listener, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, listener, NewGuard("control", NewLimits(), nil, quietLog()), API(backend, quietLog()), quietLog())
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
	})
	client := NewClient(path)
	t.Cleanup(client.Close)
	return client, path
}

// The daemon's answers arrive unchanged over a real socket.
func TestClientRoundTrip(t *testing.T) {
	t.Parallel()
	backend := storied()
	backend.run = func(_ context.Context, id string) (Run, error) {
		if id != "7TZ" {
			return Run{}, fmt.Errorf("run %s: %w", id, ErrNotFound)
		}
		return runs()[1], nil
	}
	backend.explain = func(_ context.Context, model, run string) (policy.Decision, error) {
		d := decision()
		d.Model, d.Text = model, "for run "+run
		return d, nil
	}
	backend.history = func(_ context.Context, model string, since time.Time) ([]Point, error) {
		if model != "relevance" || !since.Equal(ago(day)) {
			return nil, fmt.Errorf("asked for %s since %s", model, since)
		}
		return history(), nil
	}
	backend.evaluate = func(context.Context, string) (drift.Report, error) { return *report(), nil }
	client, _ := daemon(t, backend)
	ctx := t.Context()

	same := func(what string, want, got any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	s, err := client.Snapshot(ctx)
	same("snapshot", status(), s, err)
	wantDecision := decision()
	wantDecision.Text = "for run 7TZ"
	d, err := client.Explain(ctx, "relevance", "7TZ", time.Time{})
	same("explain", wantDecision, d, err)
	p, err := client.History(ctx, "relevance", ago(day))
	same("history", history(), p, err)
	rs, err := client.Runs(ctx, "relevance", 5)
	same("runs", runs(), rs, err)
	r, err := client.Run(ctx, "7TZ")
	same("run", runs()[1], r, err)
	rel, err := client.Releases(ctx, "relevance")
	same("releases", releases(), rel, err)
	ev, err := client.Evaluate(ctx, "relevance")
	same("evaluate", *report(), ev, err)
}

func TestClientTellsErrorsApart(t *testing.T) {
	t.Parallel()
	backend := storied()
	backend.run = func(_ context.Context, id string) (Run, error) {
		return Run{}, fmt.Errorf("run %q: %w", id, ErrNotFound)
	}
	backend.trigger = func(context.Context, string, Request) (Triggered, error) {
		return Triggered{}, fmt.Errorf("%w: run 01KB4W8R2M is active", ErrRefused)
	}
	backend.reload = func(context.Context) error { return errors.New("retraind.yaml:7:3: unknown key") }
	client, path := daemon(t, backend)
	ctx := t.Context()

	_, notFound := client.Run(ctx, "../x y")
	_, refused := client.Trigger(ctx, "relevance", Request{})
	_, badRequest := client.Runs(ctx, "", -1)
	gone := NewClient(filepath.Join(filepath.Dir(path), "gone.sock"))
	_, unreachable := gone.Snapshot(ctx)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, left := client.Snapshot(cancelled)
	for _, tc := range []struct {
		err  error
		kind error
		text string
	}{
		{notFound, ErrNotFound, `run "../x y": not found`},
		{refused, ErrRefused, "run 01KB4W8R2M is active"},
		{badRequest, errBadRequest, `parameter limit "-1": must be a number above 0`},
		{client.Reload(ctx), nil, "retraind.yaml:7:3: unknown key"},
		{unreachable, ErrUnreachable, "systemctl status retraind"},
		{left, context.Canceled, "context canceled"},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.text) || tc.kind != nil && !errors.Is(tc.err, tc.kind) {
			t.Errorf("got %v, want %v with %q", tc.err, tc.kind, tc.text)
		}
	}
	if err := client.Reload(ctx); errors.Is(err, ErrRefused) || errors.Is(err, ErrNotFound) ||
		errors.Is(err, ErrUnreachable) {
		t.Errorf("an ordinary error has a kind: %v", err)
	}
}

// The author of a request is taken from the kernel, not from the request.
func TestWhoAsksIsSeenNotSaid(t *testing.T) {
	t.Parallel()
	var asked Request
	var cancelled, resumed string
	backend := storied()
	backend.trigger = func(_ context.Context, _ string, r Request) (Triggered, error) {
		asked = r
		return Triggered{Run: "01KB", Text: "queued"}, nil
	}
	backend.cancel = func(_ context.Context, run, by string) error {
		cancelled = run + " by " + by
		return nil
	}
	var ordered []string
	backend.pause = func(_ context.Context, model string, p Pause) error {
		ordered = append(ordered, "pause "+model+" by "+p.By+": "+p.Reason)
		return nil
	}
	backend.hold = func(_ context.Context, model string, p Pause) error {
		ordered = append(ordered, "hold "+model+" by "+p.By+": "+p.Reason)
		return nil
	}
	backend.resume = func(_ context.Context, model, by string) error {
		resumed = model + " by " + by
		return nil
	}
	client, _ := daemon(t, backend)
	got, err := client.Trigger(t.Context(), "relevance",
		Request{Reason: "new guideline", Pipeline: "full", By: "the queen"})
	if err != nil || got.Run != "01KB" {
		t.Fatalf("got %+v, %v", got, err)
	}
	me := fmt.Sprintf("(uid %d, pid %d)", os.Getuid(), os.Getpid())
	if asked.Reason != "new guideline" || asked.Pipeline != "full" || !strings.HasSuffix(asked.By, me) {
		t.Errorf("the daemon saw %+v, want it by … %s", asked, me)
	}
	if err := client.Cancel(t.Context(), "01KB", "the queen"); err != nil || !strings.HasPrefix(cancelled, "01KB by ") ||
		!strings.HasSuffix(cancelled, me) {
		t.Errorf("got %q, %v", cancelled, err)
	}
	for _, err := range []error{
		client.Pause(t.Context(), Every, Pause{By: "the queen", Reason: "tea"}),
		client.Pause(t.Context(), "relevance", Pause{}),
		client.Hold(t.Context(), "relevance", Pause{Reason: "war"}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if len(ordered) != 3 || strings.Contains(strings.Join(ordered, ""), "queen") ||
		!strings.HasPrefix(ordered[0], "pause  by ") || !strings.HasSuffix(ordered[0], ": tea") ||
		!strings.HasPrefix(ordered[1], "pause relevance by ") || !strings.HasPrefix(ordered[2], "hold relevance by ") {
		t.Errorf("orders: %q", ordered)
	}
	if err := client.Resume(t.Context(), "relevance", "the queen"); err != nil ||
		!strings.HasPrefix(resumed, "relevance by ") || !strings.HasSuffix(resumed, me) {
		t.Errorf("got %q, %v", resumed, err)
	}
}

func TestSocketIsForMembers(t *testing.T) {
	t.Parallel()
	_, path := daemon(t, storied())
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o660 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("mode %s, want a socket with 0660", info.Mode())
	}

	h := membersOnly(API(storied(), quietLog()), 4242)
	stranger := Peer{UID: 65533, GID: 65533, PID: 1}
	for name, tc := range map[string]struct {
		ctx  context.Context
		want int
	}{
		"root":     {context.WithValue(t.Context(), peerKey{}, Peer{UID: 0}), 200},
		"self":     {context.WithValue(t.Context(), peerKey{}, Peer{UID: uint32(os.Geteuid())}), 200},
		"member":   {context.WithValue(t.Context(), peerKey{}, Peer{UID: 65533, GID: 4242}), 200},
		"stranger": {context.WithValue(t.Context(), peerKey{}, stranger), 403},
		"nobody":   {t.Context(), 403},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/status", nil).WithContext(tc.ctx))
		if w.Code != tc.want {
			t.Errorf("%s: status %d, want %d", name, w.Code, tc.want)
		}
	}
}

func TestListenSocket(t *testing.T) {
	t.Parallel()
	_, path := daemon(t, storied())
	if _, err := ListenSocket(path); err == nil || !strings.Contains(err.Error(), "another retraind answers there") {
		t.Errorf("a second daemon: %v", err)
	}
	dir := filepath.Dir(path)

	stale := filepath.Join(dir, "stale.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false) // as if the daemon had been killed
	left.Close()
	again, err := ListenSocket(stale)
	if err != nil {
		t.Fatalf("after a daemon that was killed: %v", err)
	}
	if again.Addr().String() != stale {
		t.Errorf("address %s", again.Addr())
	}
	again.Close()
	if _, err := os.Lstat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there after Close: %v", err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenSocket(file); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("over a file: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file was touched: %q, %v", data, err)
	}
	if _, err := ListenSocket(filepath.Join(dir, strings.Repeat("x", 120))); err == nil ||
		!strings.Contains(err.Error(), "use a shorter") {
		t.Errorf("a long path: %v", err)
	}
}

// The kernel refuses a user outside the group, and the error says what to do.
func TestOtherUsersAreTurnedAway(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	_, path := daemon(t, storied())
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	curl := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", `[ -w "$0" ]`, path)
	if err := curl.Run(); err == nil {
		t.Error("the socket is not writable")
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	feed := make(chan Event)
	backend := storied()
	backend.subscribe = func(context.Context) <-chan Event { return feed }
	client, _ := daemon(t, backend)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := client.Subscribe(ctx)
	for n := range 3 {
		feed <- event(n)
		if diff := cmp.Diff(event(n), <-got); diff != "" {
			t.Error(diff)
		}
	}
	close(feed) // the backend drops a slow reader, or ends
	if e, ok := <-got; ok {
		t.Errorf("got %+v after the end", e)
	}
}

// The daemon stops although a client streams its events.
func TestServeEndsStreams(t *testing.T) {
	t.Parallel()
	backend := storied()
	backend.subscribe = func(context.Context) <-chan Event { return make(chan Event) }
	path := filepath.Join(t.TempDir(), "s")
	listener, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	stopping := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, listener, NewGuard("control", NewLimits(), nil, quietLog()), API(backend, quietLog()), quietLog())
	}()
	client := NewClient(path)
	resp, err := client.do(t.Context(), http.MethodGet, "/v1/events", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel(stopping)
	select {
	case err := <-done:
		if !errors.Is(err, stopping) {
			t.Errorf("Serve: %v, want the context's cause", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve waits for an event stream")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
}

func TestLargeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	backend := storied()
	backend.trigger = func(context.Context, string, Request) (Triggered, error) { return Triggered{}, nil }
	client, _ := daemon(t, backend)
	_, err := client.Trigger(t.Context(), "relevance", Request{Reason: strings.Repeat("x", 1<<20)})
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

// A request is carried out once it was read, even if the client disconnects before the answer.
func TestOrderOutlivesItsClient(t *testing.T) {
	t.Parallel()
	hangUp := make(chan func(), 1)
	carriedOut := make(chan error, 1)
	backend := storied()
	backend.trigger = func(ctx context.Context, _ string, _ Request) (Triggered, error) {
		(<-hangUp)()
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond): // time for the server to notice
		}
		carriedOut <- ctx.Err()
		return Triggered{}, nil
	}
	client, _ := daemon(t, backend)
	ctx, cancel := context.WithCancel(t.Context())
	hangUp <- cancel
	if _, err := client.Trigger(ctx, "relevance", Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	if err := <-carriedOut; err != nil {
		t.Errorf("the request was cancelled with its client: %v", err)
	}
}
