package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The limits of a listener for label events. With these limits, a peer without credentials can occupy neither memory
// nor a connection for long.
const (
	headerTimeout = 2 * time.Second  // for the headers of a request, including the first of a connection
	bodyTimeout   = 10 * time.Second // for a whole request
	idleTimeout   = 10 * time.Second // between two requests of a connection
	maxConns      = 128
	maxPeerConns  = 64 // of one address; a proxy sends for many clients
	maxHeader     = 16 << 10
	shutdownWait  = 2 * time.Second
)

// Serve answers requests on the listener until ctx ends, then waits up to shutdownWait for requests in progress. It
// closes the listener.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	limited := limit(listener, maxConns, maxPeerConns)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ConnState:         limited.note,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(limited) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWait)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		server.Close()
	}
	return context.Cause(ctx)
}
