package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

const (
	connectTimeout = 5 * time.Second
	// pingEvery and pingTimeout together stay below 10 s, the time within which a dead peer must be noticed.
	pingEvery   = 4 * time.Second
	pingTimeout = 4 * time.Second
)

// dial opens a connection. Unless the connection goes through a pooler, dial also sets the session's settings.
func dial(ctx context.Context, cfg *Config) (*pgx.Conn, error) {
	config, err := connConfig(cfg)
	if err != nil {
		return nil, err
	}
	// No prepared statements: a pooler may run the next query in another backend.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	since, dialer := &atomic.Int64{}, config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return idleConn{Conn: conn, readSince: since}, nil
	}
	// A notification only wakes the reader. A flag is enough, and a flood of notifications cannot fill the memory.
	notified := &atomic.Bool{}
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { notified.Store(true) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, explain(cfg, err)
	}
	conn.PgConn().CustomData()[idleConnKey] = since
	conn.PgConn().CustomData()[notifiedKey] = notified
	var pid int32
	if err = conn.QueryRow(ctx, "SELECT pg_catalog.pg_backend_pid()").Scan(&pid); err == nil &&
		uint32(pid) == conn.PgConn().PID() {
		err = setSession(ctx, conn, false)
	} else {
		// On a pooled connection, session settings would leak to other clients.
		conn.PgConn().CustomData()[pooledKey] = true
	}
	if err == nil && conn.PgConn().ParameterStatus("server_encoding") == "SQL_ASCII" {
		// Otherwise the server would refuse to send invalid UTF-8, which validText repairs. Behind a pooler this
		// setting does not leak to other clients, because poolers keep it per client.
		_, err = conn.Exec(ctx, "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)")
	}
	if err != nil {
		return nil, errors.Join(explain(cfg, err), conn.Close(ctx))
	}
	return conn, nil
}

// userTimeout bounds how long sent data may stay unacknowledged; keepalive covers only idle connections.
func userTimeout(network, _ string, raw syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 5000)
	})
	return errors.Join(err, failed)
}

func (s *Source) closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		s.Log.Debug("close the connection", "err", err)
	}
}

// closeQuietly closes a connection and ignores an error.
func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
