package webhook

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// limitedListener bounds the number of connections, in all and per peer. When a bound is reached, a new connection
// replaces the one that has been idle for longest, so that idle connections cannot keep other senders out. If no
// connection is idle, the new one is closed.
type limitedListener struct {
	net.Listener
	most, mostOfPeer int

	mu    sync.Mutex // guards conns
	conns map[net.Conn]*connInfo
}

// connInfo is the state of an open connection.
type connInfo struct {
	peer  string
	busy  bool      // a request is being read or answered
	since time.Time // when it became busy or idle
}

func limit(inner net.Listener, most, mostOfPeer int) *limitedListener {
	return &limitedListener{Listener: inner, most: most, mostOfPeer: mostOfPeer, conns: map[net.Conn]*connInfo{}}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.admit(conn) {
			return conn, nil
		}
		_ = conn.Close() // nothing was written to it
	}
}

// admit counts a new connection. If a bound is reached, it first closes an idle connection, or returns false if none is
// idle.
func (l *limitedListener) admit(conn net.Conn) bool {
	peer, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		peer = conn.RemoteAddr().String()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.makeRoom(peer, l.mostOfPeer) || !l.makeRoom("", l.most) {
		return false
	}
	l.conns[conn] = &connInfo{peer: peer, since: time.Now()}
	return true
}

// makeRoom makes room for one more connection of a peer, or of any peer if peer is "". If the number of connections has
// reached `most`, it closes the one that has been idle for longest, or returns false if all of them are busy. The
// caller must hold mu.
func (l *limitedListener) makeRoom(peer string, most int) bool {
	n := 0
	var oldest net.Conn
	for conn, info := range l.conns {
		if peer != "" && info.peer != peer {
			continue
		}
		n++
		if !info.busy && (oldest == nil || info.since.Before(l.conns[oldest].since)) {
			oldest = conn
		}
	}
	if n < most {
		return true
	}
	if oldest == nil {
		return false
	}
	delete(l.conns, oldest)
	_ = oldest.Close() // its peer sees the end of the connection
	return true
}

// note records the state of a connection; it is the server's ConnState callback.
func (l *limitedListener) note(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	info := l.conns[conn]
	switch {
	case info == nil: // closed by makeRoom
	case state == http.StateClosed || state == http.StateHijacked:
		delete(l.conns, conn)
	case state == http.StateActive || state == http.StateIdle:
		info.busy, info.since = state == http.StateActive, time.Now()
	}
}
