package status

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// refusedBy counts refusals by what was refused.
type refusedBy struct {
	mu sync.Mutex
	n  map[string]int
}

func (r *refusedBy) count(_, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[what]++
}

func (r *refusedBy) of(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n[what]
}

// besieged serves a backend on loopback with limits.
func besieged(t *testing.T, backend Backend, limits Limits) (address string, refused *refusedBy) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused = &refusedBy{n: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	guard := NewGuard("page", limits, refused.count, quietLog())
	go func() { done <- Serve(ctx, listener, guard, API(backend, quietLog()), quietLog()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
		if guard.all != [heldKinds]int{} || len(guard.peers) != 0 {
			t.Errorf("the guard still counts %v of %d peers", guard.all, len(guard.peers))
		}
	})
	return listener.Addr().String(), refused
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// request sends a request on a connection and returns the status code of the answer.
func request(t *testing.T, conn net.Conn, text string) int {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // Close would read the stream to its end
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

const (
	askStatus = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
	askEvents = "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"
)

// silentEvents is a backend without events.
func silentEvents() fake {
	backend := storied()
	backend.subscribe = func(context.Context) <-chan Event { return make(chan Event) }
	return backend
}

func TestGuardDisplacesIdleConnections(t *testing.T) {
	t.Parallel()
	address, refused := besieged(t, storied(),
		Limits{Conns: 8, PeerConns: 4, Streams: 1, PeerStreams: 1, Bodies: 1, PeerBodies: 1})
	var idle []net.Conn
	for range 20 {
		idle = append(idle, dial(t, address))
	}
	if got := request(t, dial(t, address), askStatus); got != http.StatusOK {
		t.Errorf("answer %d among idle connections", got)
	}
	if _, err := idle[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the oldest connection: %v, want its end", err)
	}
	if got := refused.of("connection"); got != 17 {
		t.Errorf("%d connections are counted as displaced, want 17", got)
	}
}

func TestGuardRefusesWhereNoneIsIdle(t *testing.T) {
	t.Parallel()
	address, refused := besieged(t, silentEvents(),
		Limits{Conns: 8, PeerConns: 2, Streams: 8, PeerStreams: 8, Bodies: 1, PeerBodies: 1})
	for range 2 {
		if got := request(t, dial(t, address), askEvents); got != http.StatusOK {
			t.Fatalf("a stream: %d", got)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(dial(t, address)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "too many connections") {
		t.Errorf("answer %d, %s", resp.StatusCode, body)
	}
	if got := refused.of("connection"); got != 1 {
		t.Errorf("%d refusals are counted, want 1", got)
	}
}

func TestGuardBoundsStreamsAndBodies(t *testing.T) {
	t.Parallel()
	address, refused := besieged(t, silentEvents(),
		Limits{Conns: 32, PeerConns: 16, Streams: 4, PeerStreams: 2, Bodies: 4, PeerBodies: 2})
	var codes []int
	for range 4 {
		codes = append(codes, request(t, dial(t, address), askEvents))
	}
	if codes[1] != 200 || codes[2] != 503 || refused.of("stream") != 2 {
		t.Errorf("streams: %v, %d refused", codes, refused.of("stream"))
	}
	// A request counts even while its body does not arrive. Status 100 shows that the handler reads the body.
	const slow = "POST /v1/models/relevance/trigger HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
	for range 2 {
		if got := request(t, dial(t, address), slow); got != http.StatusContinue {
			t.Fatalf("a body: %d", got)
		}
	}
	if got := request(t, dial(t, address), slow); got != 503 || refused.of("body") != 1 {
		t.Errorf("a third body: %d, %d refused", got, refused.of("body"))
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:1": "loopback", "127.8.7.6:2": "loopback", "[::1]:3": "loopback", "[::ffff:127.0.0.1]:4": "loopback",
		"192.0.2.7:5": "192.0.2.7", "[2001:db8:1:2:3::4]:6": "2001:db8:1:2::/64", "[fe80::1%eth0]:7": "fe80::/64",
	} {
		if got := peerName(fakeConn{address: address}); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// fakeConn only has an address.
type fakeConn struct {
	net.Conn
	address string
}

func (c fakeConn) RemoteAddr() net.Addr { return fakeAddr(c.address) }

type fakeAddr string

func (fakeAddr) Network() string  { return "tcp" }
func (a fakeAddr) String() string { return string(a) }

func TestClientSaysThatItTimedOut(t *testing.T) {
	t.Parallel()
	backend := storied()
	backend.snapshot = func(ctx context.Context) (Status, error) {
		<-ctx.Done()
		return Status{}, ctx.Err()
	}
	backend.subscribe = func(context.Context) <-chan Event { return make(chan Event) }
	client, path := daemon(t, backend)
	client.quick, client.quiet = 50*time.Millisecond, 50*time.Millisecond
	_, err := client.Snapshot(t.Context())
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "no answer within") ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	for range client.Subscribe(t.Context()) { // ends although the daemon keeps the stream open
		t.Error("an event")
	}
}
