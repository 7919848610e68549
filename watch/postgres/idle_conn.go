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
	// An answer that is missing for longer makes the guard ask over another connection. With its own patience this stays
	// below the 10 s within which a dead peer must be noticed.
	silence     = 5 * time.Second
	askPatience = 4 * time.Second
	// pooledSilence is for connections through a pooler, about which the server cannot be asked.
	pooledSilence = time.Minute
)

// pulse knows for how long a connection has been waiting for its peer. TCP's own means see a network that is gone; a
// proxy that takes bytes and forwards none, and a host that lost its memory of the connection, they do not.
type pulse struct {
	net.Conn
	since *atomic.Int64 // when the read began that is under way, in Unix nanoseconds; 0 while there is none
}

func (p pulse) Read(b []byte) (int, error) {
	p.since.Store(time.Now().UnixNano())
	defer p.since.Store(0)
	return p.Conn.Read(b)
}

// Keys of what dial keeps with a connection.
const (
	pulseKey  = "retraind.pulse"
	pooledKey = "retraind.pooled"
	rungKey   = "retraind.rung"
)

// pooled tells whether a pooler stands between: the server's process is not the one that the connection was given.
func pooled(conn *pgx.Conn) bool {
	is, ok := conn.PgConn().CustomData()[pooledKey].(bool)
	return ok && is
}

// guard returns a context that ends when the connection's peer owes an answer and is not working on one any more.
func guard(ctx context.Context, cfg *Config, conn *pgx.Conn) (context.Context, context.CancelFunc) {
	guarded, cancel := context.WithCancelCause(ctx)
	since, ok := conn.PgConn().CustomData()[pulseKey].(*atomic.Int64)
	if !ok {
		return guarded, func() { cancel(nil) }
	}
	limit := silence
	if pooled(conn) {
		limit = pooledSilence
	}
	pid := conn.PgConn().PID()
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
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
			if !pooled(conn) && working(guarded, cfg, pid) {
				continue
			}
			if since.Load() == begun {
				cancel(&watch.Fault{Cause: "PostgreSQL does not answer on a connection that it does not work on any more", Cure: "is the network open, and no proxy between that forgets connections?"})
				return
			}
		}
	}()
	return guarded, func() { cancel(nil) }
}

// working asks the server over another connection whether a process of it is busy with a query.
func working(ctx context.Context, cfg *Config, pid uint32) bool {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	conn, err := dial(ctx, cfg)
	if err != nil {
		return false
	}
	defer hangUp(conn)
	var busy bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active')", int32(pid)).Scan(&busy)
	return err == nil && busy
}
