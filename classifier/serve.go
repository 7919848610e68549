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
	// drain is how long requests in progress may take after the context has ended.
	drain = 5 * time.Second
	// silence is how long a connection that never sent anything may delay the shutdown. Such connections exist because
	// clients connect in advance, and net/http would wait five seconds for them.
	silence = time.Second
	// writeTimeout is how long a request may take, from its header to the end of the answer. answerTime is the part of it
	// for the model and the embedding service: after it the answer is an error.
	writeTimeout = time.Minute
	answerTime   = 50 * time.Second
)

// Serve answers requests on the listener until ctx ends. Then it waits for requests in progress, and returns nil if all
// connections are closed within the duration `drain`.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	silent := &connections{since: map[net.Conn]time.Time{}}
	counted := &countedListener{Listener: listener}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute, // longer than a scorer keeps its connections, so that the client closes them
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ConnState:         silent.track,
	}
	ended := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
		case <-ended: // the listener failed: requests in progress are still answered
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		// Shutdown is not used: it would close a connection of which net/http has read a request but not yet begun to answer
		// it.
		server.SetKeepAlivesEnabled(false)
		go counted.Close() // it may block on an Accept in progress
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

// connections are the connections that have not sent anything yet.
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

// hangUp closes connections that have sent nothing for the time silence, until ctx ends. A connection accepted at the
// last moment gets the same time, because its request may still arrive.
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
				conn.Close() // no request was sent on it
			}
		}
		c.mu.Unlock()
	}
}

// countedListener counts its open connections, including those that were accepted but that net/http does not track yet.
// No request may be cut off, because clients expect no interruption when another process accepts from the same socket.
type countedListener struct {
	net.Listener
	open atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	l.open.Add(1) // before the kernel returns one, so that no connection is ever uncounted
	conn, err := l.Listener.Accept()
	if err != nil {
		l.open.Add(-1)
		return nil, err
	}
	return &countedConn{Conn: conn, done: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

// wait returns once every connection is closed, or with an error when ctx ends.
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
