package webhook

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
)

// served opens a listener for a source and returns its address.
func (p *post) served() string {
	p.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.serve(listener)
	return listener.Addr().String()
}

// serve serves a source on a listener until the test ends.
func (p *post) serve(listener net.Listener) {
	mux := http.NewServeMux()
	mux.Handle("POST /v1/labels/m", p.src)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = Serve(ctx, listener, mux, slog.New(slog.DiscardHandler)) }()
	p.t.Cleanup(func() { cancel(); <-done })
}

// pipes is a listener in memory, for tests with a fake clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (l *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	l.conns <- server
	return client, nil
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.closed); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// dial opens a connection that ends with the test, and writes to it.
func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, text) // the server may have closed it already
	return conn
}

// good sends a valid webhook over a new connection, and returns an error if it is not accepted.
func (p *post) good(client *http.Client, address, id string) error {
	body := watchtest.Line(id, "a")
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+address+"/v1/labels/m",
		strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Close = true
	headers := p.sign(id, time.Now(), body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		return fmt.Errorf("answered with %s", answer.Status)
	}
	return nil
}

// TestSlowClientsHoldNobodyUp: clients that send a body slowly, with an invalid signature, do not delay good webhooks.
func TestSlowClientsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int{"small bodies": 1000, "large bodies": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { slowClients(t, length) })
		})
	}
}

func slowClients(t *testing.T, length int) {
	p, listener := newPost(t, Config{Preset: PresetStandardWebhooks}), newPipes()
	p.serve(listener)
	head := fmt.Sprintf("POST /v1/labels/m HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nwebhook-id: w\r\n"+
		"webhook-timestamp: %d\r\nwebhook-signature: v1,none\r\n\r\n", length, time.Now().Unix())
	answers := make(chan string)
	for range 16 {
		conn, err := listener.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(conn, head+strings.Repeat(" ", min(length-1, smallBody+1))) }()
		go func() {
			answer, err := io.ReadAll(conn)
			answers <- fmt.Sprint(string(answer), err)
		}()
	}
	synctest.Wait() // the slow clients occupy the server
	client := &http.Client{Transport: &http.Transport{DialContext: listener.dial}}
	began := time.Now()
	for i := range 8 {
		if err := p.good(client, "memory", fmt.Sprint("good", i)); err != nil {
			t.Errorf("webhook %d: %v", i, err)
		}
	}
	if took := time.Since(began); took > 0 {
		t.Errorf("eight good webhooks took %s", took)
	}
	for range 16 {
		if answer := <-answers; !strings.Contains(answer, "408 ") && !strings.Contains(answer, "503 ") {
			t.Errorf("a slow client: %q", answer)
		}
	}
}

// TestWithoutASignatureNothingIsRead: a request without a signature is answered before its body is read.
func TestWithoutASignatureNothingIsRead(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{Preset: PresetStandardWebhooks})
	conn := dial(t, p.served(), "POST /v1/labels/m HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 401 ") {
		t.Errorf("%q, %v", answer[:n], err)
	}
}

// TestIdleConnectionsAreBounded: many idle connections do not keep a webhook out, and are closed soon.
func TestIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{Preset: PresetStandardWebhooks})
	address := p.served()
	var idle []net.Conn
	for range 300 {
		idle = append(idle, dial(t, address, ""))
	}
	if err := p.good(http.DefaultClient, address, "1"); err != nil {
		t.Error(err)
	}
	waittest.EventuallyNil(t, func() error {
		for i, conn := range idle {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				return fmt.Errorf("connection %d is open", i)
			}
		}
		return nil
	})
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// TestConnectionsAreCounted: connections are bounded per peer and in total. A connection that is busy with a request is
// not closed for a new one.
func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	l := limit(nil, 3, 2)
	a := []net.Conn{peer("10.0.0.1"), peer("10.0.0.1"), peer("10.0.0.1")}
	if !l.admit(a[0]) || !l.admit(a[1]) {
		t.Fatal("two of one peer")
	}
	l.conns[a[0]].since = l.conns[a[1]].since.Add(-time.Second) // also if the clock is coarse
	if !l.admit(a[2]) || len(l.conns) != 2 || l.conns[a[0]] != nil {
		t.Errorf("%d of one peer", len(l.conns))
	}
	l.note(a[1], http.StateActive)
	l.note(a[2], http.StateActive)
	if l.admit(peer("10.0.0.1")) {
		t.Error("a third one beside two requests")
	}
	if !l.admit(peer("10.0.0.2")) || !l.admit(peer("10.0.0.3")) || len(l.conns) != 3 {
		t.Errorf("%d of all", len(l.conns))
	}
	l.note(a[1], http.StateClosed)
	if len(l.conns) != 2 {
		t.Errorf("%d after one was closed", len(l.conns))
	}
}

// fakeConn is a connection of a peer.
type fakeConn struct {
	net.Conn
	addr net.TCPAddr
}

func peer(ip string) *fakeConn           { return &fakeConn{addr: net.TCPAddr{IP: net.ParseIP(ip), Port: 1}} }
func (f *fakeConn) RemoteAddr() net.Addr { return &f.addr }
func (f *fakeConn) Close() error         { return nil }
