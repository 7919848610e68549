package classifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// drain is how long requests in flight may take to end after the context has.
	drain = 5 * time.Second
	// silence is how long a connection that never sent anything may keep the server from ending: clients dial ahead, and
	// net/http would wait five seconds for each such connection.
	silence = 300 * time.Millisecond
)

// Serve answers on the listener until ctx ends, then lets requests in flight finish. It returns nil after such an end.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	silent := &connections{open: map[net.Conn]struct{}{}}
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
		case <-ended: // the listener failed: there is nothing to wait for
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		closing := time.AfterFunc(silence, silent.close)
		defer closing.Stop()
		done <- server.Shutdown(stop)
	}()
	err := server.Serve(listener)
	close(ended)
	stopped := <-done
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve classifier: %w", err)
	}
	if stopped != nil {
		return fmt.Errorf("stop classifier: %w", errors.Join(stopped, server.Close()))
	}
	return nil
}

// connections are those that have not sent anything yet.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]struct{} // guarded by mu
}

func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew {
		c.open[conn] = struct{}{}
	} else {
		delete(c.open, conn)
	}
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Close() // nothing was asked on it, so nobody waits for an answer
	}
}
