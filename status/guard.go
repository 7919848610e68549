package status

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/retraind/retraind/internal/refusals"
)

// held is a kind of resource that a Guard limits.
type held int

const (
	heldConn held = iota
	heldStream
	heldBody
	heldKinds
)

// heldNames are the values of the metric's label.
var heldNames = [heldKinds]string{"connection", "stream", "body"}

// Guard limits the connections, streams and bodies of one listener, so that clients cannot exhaust what the daemon
// needs for its own work.
//
// A new connection beyond a limit replaces the oldest idle one. If the peer is at its own limit, only a connection of
// the same peer is replaced, so that a user with abandoned connections can still connect; otherwise one of any peer. If
// no such connection is idle, the new one is refused.
type Guard struct {
	limits  Limits
	refused [heldKinds]*refusals.Series

	mu    sync.Mutex     // guards the fields below
	conns []*guardedConn // oldest first
	all   [heldKinds]int
	peers map[string]*[heldKinds]int
}

// NewGuard returns the guard of a listener. `count` is called for each refusal and for each connection that replaces an
// idle one; it may be nil.
func NewGuard(listener string, limits Limits, count func(listener, what string), log *slog.Logger) *Guard {
	g := &Guard{limits: limits, peers: map[string]*[heldKinds]int{}}
	for k := range heldKinds {
		tally := func() {}
		if count != nil {
			tally = func() { count(listener, heldNames[k]) }
		}
		what := heldNames[k] + " refused"
		if k == heldConn {
			what += ", or an idle one closed"
		}
		g.refused[k] = refusals.New("a client is at the limit: "+what, tally, log.With("listener", listener))
	}
	return g
}

// most returns the limits of a kind, for all peers and for one.
func (g *Guard) most(k held) (all, peer int) {
	switch k {
	case heldStream:
		return g.limits.Streams, g.limits.PeerStreams
	case heldBody:
		return g.limits.Bodies, g.limits.PeerBodies
	default:
		return g.limits.Conns, g.limits.PeerConns
	}
}

// of returns the peer's counts; the caller holds mu.
func (g *Guard) of(peer string) *[heldKinds]int {
	if g.peers[peer] == nil {
		g.peers[peer] = &[heldKinds]int{}
	}
	return g.peers[peer]
}

// take adds one to the count of a kind if the limits allow it; the caller holds mu.
func (g *Guard) take(k held, peer string) bool {
	all, each := g.most(k)
	counts := g.of(peer)
	if g.all[k] >= all || counts[k] >= each {
		return false
	}
	g.all[k]++
	counts[k]++
	return true
}

// give reverts take; the caller holds mu.
func (g *Guard) give(k held, peer string) {
	g.all[k]--
	counts := g.of(peer)
	counts[k]--
	if *counts == [heldKinds]int{} {
		delete(g.peers, peer)
	}
}

// Listen wraps a listener.
func (g *Guard) Listen(l net.Listener) net.Listener { return &guardedListener{l, g} }

type guardedListener struct {
	net.Listener
	guard *Guard
}

// Accept returns the next connection within the limits.
func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.guard.admit(conn); c != nil {
			return c, nil
		}
	}
}

// guardedConn is a connection that counts until it is closed.
type guardedConn struct {
	net.Conn
	guard *Guard
	peer  string
	busy  bool // a request is being answered; guarded by guard.mu
	once  sync.Once
}

func (c *guardedConn) Close() error {
	c.once.Do(func() {
		c.guard.mu.Lock()
		defer c.guard.mu.Unlock()
		c.guard.conns = slices.DeleteFunc(c.guard.conns, func(other *guardedConn) bool { return other == c })
		c.guard.give(heldConn, c.peer)
	})
	return c.Conn.Close()
}

// tooMany is the complete answer to a refused connection.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n" +
	"Content-Type: application/json\r\n\r\n" +
	`{"error":{"kind":"busy","message":"too many connections are open; try again later"}}` + "\n"

// admit counts a new connection, or refuses it and returns nil.
func (g *Guard) admit(conn net.Conn) *guardedConn {
	c := &guardedConn{Conn: conn, guard: g, peer: peerName(conn)}
	for {
		g.mu.Lock()
		if g.take(heldConn, c.peer) {
			g.conns = append(g.conns, c)
			g.mu.Unlock()
			return c
		}
		victim := g.idle(c.peer)
		g.mu.Unlock()
		g.refused[heldConn].Refused("peer", c.peer)
		if victim == nil {
			// The buffer of a new connection has room for the answer; the deadline is for the case that it has not.
			_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			_, _ = conn.Write([]byte(tooMany))
			conn.Close()
			return nil
		}
		victim.Close()
	}
}

// idle returns the oldest idle connection that a new one of a peer may replace, nil if there is none. If the peer is at
// its limit, only the peer's own connections may be replaced. The caller holds mu.
func (g *Guard) idle(peer string) *guardedConn {
	own := g.of(peer)[heldConn] >= g.limits.PeerConns
	for _, c := range g.conns {
		if !c.busy && (!own || c.peer == peer) {
			return c
		}
	}
	return nil
}

type guardedKey struct{}

// withGuarded stores the connection for hold and working.
func withGuarded(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*guardedConn); ok {
		return context.WithValue(ctx, guardedKey{}, c)
	}
	return ctx
}

// hold counts a stream or a body on the request's connection; `ok` is false if it must be refused. Without a guard
// everything is allowed.
func hold(ctx context.Context, k held) (release func(), ok bool) {
	c, guarded := ctx.Value(guardedKey{}).(*guardedConn)
	if !guarded {
		return func() {}, true
	}
	c.guard.mu.Lock()
	ok = c.guard.take(k, c.peer)
	c.guard.mu.Unlock()
	if !ok {
		c.guard.refused[k].Refused("peer", c.peer)
		return nil, false
	}
	return func() {
		c.guard.mu.Lock()
		defer c.guard.mu.Unlock()
		c.guard.give(k, c.peer)
	}, true
}

// working marks the request's connection as busy until `done` is called.
func working(ctx context.Context) (done func()) {
	c, ok := ctx.Value(guardedKey{}).(*guardedConn)
	if !ok {
		return func() {}
	}
	mark := func(busy bool) {
		c.guard.mu.Lock()
		defer c.guard.mu.Unlock()
		c.busy = busy
	}
	mark(true)
	return func() { mark(false) }
}
