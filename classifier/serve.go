package classifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// drain is how long requests in flight may take to end after the context has.
	drain = 5 * time.Second
	// silence is how long a connection that never sent anything may keep the server from ending: clients dial ahead, and
	// net/http would wait five seconds for each such connection.
	silence = time.Second
)

// Serve answers on the listener until ctx ends, then lets requests in flight finish. It returns nil after such an end.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	silent := &connections{since: map[net.Conn]time.Time{}}
	counted := &countedListener{Listener: listener}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute, // longer than a scorer keeps its connections, so that it is the one that closes
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ConnState:         silent.track,
	}
	ended := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
		case <-ended: // the listener failed: what is under way is still answered
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		// Not by Shutdown: from that call on net/http hangs up on a request that it has read but not yet begun to answer.
		server.SetKeepAlivesEnabled(false)
		go counted.Close() // it may wait for an Accept that is under way
		go silent.hangUp(stop)
		done <- counted.wait(stop)
	}()
	err := server.Serve(counted)
	close(ended)
	stopped := <-done
	if closeErr := server.Close(); stopped != nil {
		return fmt.Errorf("stop classifier: %w", errors.Join(stopped, closeErr))
	}
	if ctx.Err() == nil {
		return fmt.Errorf("serve classifier: %w", err)
	}
	return nil
}

// connections are those that have not sent anything yet.
type connections struct {
	mu    sync.Mutex
	since map[net.Conn]time.Time // guarded by mu
}

func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew {
		c.since[conn] = time.Now()
	} else {
		delete(c.since, conn)
	}
}

// hangUp closes, until ctx ends, those that have been silent for long. One that came in at the last moment has its time
// too: its request may be on the way.
func (c *connections) hangUp(ctx context.Context) {
	tick := time.NewTicker(silence / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		for conn, since := range c.since {
			if time.Since(since) >= silence {
				conn.Close() // nothing was asked on it, so nobody waits for an answer
			}
		}
		c.mu.Unlock()
	}
}

// countedListener knows how many of its connections are open, also one that was accepted but of which net/http has not
// yet taken note. Another process may go on accepting from the same socket, so no client must find its request cut off.
type countedListener struct {
	net.Listener
	open atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	l.open.Add(1) // before the kernel hands one over: there is no moment in which it is not counted
	conn, err := l.Listener.Accept()
	if err != nil {
		l.open.Add(-1)
		return nil, err
	}
	return &countedConn{Conn: conn, done: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

// wait returns once every connection is closed.
func (l *countedListener) wait(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.open.Load() > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

type countedConn struct {
	net.Conn
	done func()
}

func (c *countedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}
