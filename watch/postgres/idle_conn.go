package postgres

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

const (
	// idleTimeout is how long to wait for an answer before asking the server, over another connection, whether it is
	// still running the query. Together with probeTimeout it stays below 10 s, the time within which a dead peer must
	// be noticed.
	idleTimeout  = 5 * time.Second
	probeTimeout = 4 * time.Second
	// pooledIdleTimeout is how long to wait for an answer on a connection through a pooler. It is longer, because the
	// server cannot be asked about such a connection.
	pooledIdleTimeout = time.Minute
	// idleTick is how often the time of waiting is checked.
	idleTick = 500 * time.Millisecond
)

// idleConn records when the current read began, to detect half-open connections. TCP keepalive detects a network that
// is down. It detects neither a proxy that accepts bytes without forwarding them nor a host that lost the
// connection's state.
type idleConn struct {
	net.Conn
	readSince *atomic.Int64 // when the current read began, in Unix nanoseconds; 0 while there is none
}

func (p idleConn) Read(b []byte) (int, error) {
	p.readSince.Store(time.Now().UnixNano())
	defer p.readSince.Store(0)
	return p.Conn.Read(b)
}

// Keys of the values that dial attaches to a connection.
const (
	idleConnKey = "retraind.idle"
	pooledKey   = "retraind.pooled"
	notifiedKey = "retraind.notified"
)

// pooled reports whether the connection goes through a pooler. Queries may then run in different backends.
func pooled(conn *pgx.Conn) bool {
	is, ok := conn.PgConn().CustomData()[pooledKey].(bool)
	return ok && is
}

// cancelWhenIdle returns a context that ends when an answer is overdue and the server is not running the query any
// more. On a pooled connection it ends as soon as the answer is overdue.
func cancelWhenIdle(ctx context.Context, cfg *Config, conn *pgx.Conn) (context.Context, context.CancelFunc) {
	guarded, cancel := context.WithCancelCause(ctx)
	since, ok := conn.PgConn().CustomData()[idleConnKey].(*atomic.Int64)
	if !ok {
		return guarded, func() { cancel(nil) }
	}
	limit := idleTimeout
	if pooled(conn) {
		limit = pooledIdleTimeout
	}
	pid := conn.PgConn().PID()
	go func() {
		tick := time.NewTicker(idleTick)
		defer tick.Stop()
		for {
			select {
			case <-guarded.Done():
				return
			case <-tick.C:
			}
			begun := since.Load()
			if begun == 0 || time.Since(time.Unix(0, begun)) < limit {
				continue
			}
			if !pooled(conn) && backendIsBusy(guarded, cfg, pid) {
				continue
			}
			if since.Load() == begun {
				cancel(&watch.Fault{
					Cause: "a connection to PostgreSQL is dead: no answer, and the server runs no query on it",
					Cure:  "check the network, and proxies that drop idle connections",
				})
				return
			}
		}
	}()
	return guarded, func() { cancel(nil) }
}

// guard calls run with a context that ends when the connection is dead (see cancelWhenIdle), and explains its error.
func guard(ctx context.Context, cfg *Config, conn *pgx.Conn, run func(ctx context.Context) error) error {
	guarded, release := cancelWhenIdle(ctx, cfg, conn)
	defer release()
	err := run(guarded)
	if cause := context.Cause(guarded); ctx.Err() == nil && cause != nil {
		err = cause
	}
	return explain(cfg, err)
}

// guardQueries is like guard, but does not watch a pooled connection: a query, for example of a view, may run for longer
// than such a connection may wait for an answer.
func guardQueries(ctx context.Context, cfg *Config, conn *pgx.Conn, run func(ctx context.Context) error) error {
	if pooled(conn) {
		return explain(cfg, run(ctx))
	}
	return guard(ctx, cfg, conn, run)
}

// backendIsBusy asks the server over another connection whether a backend is busy with a query.
func backendIsBusy(ctx context.Context, cfg *Config, pid uint32) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := dial(ctx, cfg)
	if err != nil {
		return false
	}
	defer closeQuietly(conn)
	var busy bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active')",
		int32(pid)).Scan(&busy)
	return err == nil && busy
}
