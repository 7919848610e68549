package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

const (
	connectTimeout = 5 * time.Second
	// pingEvery and pingTimeout together are less than the 10 s within which a dead peer must be noticed.
	pingEvery   = 4 * time.Second
	pingTimeout = 4 * time.Second
)

// readAhead is how much of what a server sends is read at once: a table comes in many small rows.
const readAhead = 64 << 10

// session is one connection with what was learned about its server.
type session struct {
	*Source
	conn     *pgx.Conn
	at       position // where reading stands; its identity is the server's
	keyTypes []string // SQL types of the key columns
	armed    bool     // whether this session holds the doorbell's lock, so that writers ring
	shared   bool     // whether a pooler gives the server's process to others between transactions
	pruned   time.Time
	housed   time.Time
	open     map[string]time.Time // transactions that write, by when they were first seen
}

// dial opens a connection with a pinned search_path.
func dial(ctx context.Context, cfg *Config) (*pgx.Conn, error) {
	config, err := connConfig(cfg)
	if err != nil {
		return nil, err
	}
	// Nothing stays with the server's process between two queries, so that a pooler may give us another.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	since, dialer := &atomic.Int64{}, config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return pulse{Conn: conn, since: since}, nil
	}
	// Notifications say no more than that there were some. Kept one by one, a flood of them would fill the memory.
	rung := &atomic.Bool{}
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { rung.Store(true) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, explain(cfg, err)
	}
	conn.PgConn().CustomData()[pulseKey] = since
	conn.PgConn().CustomData()[rungKey] = rung
	var pid int32
	if err = conn.QueryRow(ctx, "SELECT pg_catalog.pg_backend_pid()").Scan(&pid); err == nil && uint32(pid) == conn.PgConn().PID() {
		err = pin(ctx, conn, false)
	} else {
		// What is set for the session would stay with a process that serves others too.
		conn.PgConn().CustomData()[pooledKey] = true
	}
	if err == nil && conn.PgConn().ParameterStatus("server_encoding") == "SQL_ASCII" {
		// The server would refuse to send what is no UTF-8; asText mends it here. Poolers know this setting.
		_, err = conn.Exec(ctx, "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)")
	}
	if err != nil {
		return nil, errors.Join(explain(cfg, err), conn.Close(ctx))
	}
	return conn, nil
}

// userTimeout bounds how long written data may stay unacknowledged; keepalive only covers an idle connection.
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

// connect opens a session, proves that the table can be followed, and listens.
func (s *Source) connect(ctx context.Context) (*session, error) {
	conn, err := dial(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	c := &session{Source: s, conn: conn}
	if err := c.prepare(ctx); err != nil {
		c.close()
		return nil, explain(s.cfg, err)
	}
	return c, nil
}

func (c *session) prepare(ctx context.Context) error {
	columns, err := c.inspected(ctx, c.conn)
	if err != nil {
		return err
	}
	c.keyTypes = c.schema.keyTypes(columns)
	// LISTEN comes before the first read, so that what is committed between the two rings.
	if _, err := c.conn.Exec(ctx, "LISTEN "+ident(channel(c.model))); err != nil {
		return err
	}
	heard, err := c.hears(ctx)
	if err != nil {
		return err
	}
	c.shared = !heard
	if heard && pooled(c.conn) {
		if err := pin(ctx, c.conn, false); err != nil { // a pool in session mode
			return err
		}
	}
	c.at.Definition = c.schema.definition()
	if c.at.Shape, err = c.shape(ctx); err != nil {
		return err
	}
	return c.conn.QueryRow(ctx, "SELECT "+identityColumns+", "+statisticsColumn+", $1::text::regclass::oid", c.schema.outbox()).
		Scan(&c.at.System, &c.at.Timeline, &c.at.Statistics, &c.at.Outbox)
}

// close ends the connection; the server then releases the doorbell's lock.
func (c *session) close() { c.closeConn(c.conn) }

func (s *Source) closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		s.Log.Debug("close the connection", "err", err)
	}
}

// intact says whether reading can go on from p after a crash, before the table is compared: what was read is still there.
func (c *session) intact(ctx context.Context, p position, pruned uint64) (found bool, err error) {
	if p.Last.XID <= pruned {
		return true, nil
	}
	err = c.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+c.schema.outbox()+" WHERE xid = $1::text::xid8 AND seq = $2)", strconv.FormatUint(p.Last.XID, 10), p.Last.Seq).Scan(&found)
	return found, err
}

// resume finds where to read on; where that is not possible the whole table is read.
func (c *session) resume(ctx context.Context) error {
	text, err := c.sink.Cursor(ctx, c.Name())
	if err != nil {
		return fmt.Errorf("read the cursor: %w", err)
	}
	if text == "" {
		return c.readAll(ctx, firstRead)
	}
	stored, err := parsePosition(text)
	if err != nil {
		return c.readAll(ctx, err.Error())
	}
	var sees, pruned string
	err = c.conn.QueryRow(ctx, `SELECT pg_current_snapshot()::text,
		coalesce((SELECT pruned::text FROM retraind.sources WHERE source = $1), '0')`, c.model).Scan(&sees, &pruned)
	if err != nil {
		return err
	}
	now, err := parseSnapshot(sees)
	if err != nil {
		return err
	}
	prunedXID, err := parseXID(pruned)
	if err != nil {
		return err
	}
	reason := stored.lost(c.at, now.next, prunedXID)
	switch {
	case reason == "" && !stored.Compare:
		c.at = stored
		return nil
	case reason == "":
		c.at, reason = stored, crashed
	case reason == crashed:
		intact, err := c.intact(ctx, stored, prunedXID)
		if err != nil {
			return err
		}
		if intact {
			if c.at, err = stored.survive(c.at.Statistics, now); err != nil {
				return err
			}
		}
	}
	return c.readAll(ctx, reason)
}
