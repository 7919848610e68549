package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is one connection that follows the outbox, with the properties of its server.
type session struct {
	*Source
	conn              *pgx.Conn
	at                position // reading position; its identity is the server's
	keyTypes          []string // SQL types of the key columns
	locked            bool     // whether this session holds the advisory lock, so that writers notify
	transactionPooled bool     // whether a pooler assigns a backend per transaction
	lastPrune         time.Time
	maintained        time.Time
	lastRead          uint64               // greatest transaction id of a row read before this session or its full read
	openSince         map[string]time.Time // writing transactions, with the time when they were first seen
}

// connect opens a session, checks that the table can be followed, and listens.
func (s *Source) connect(ctx context.Context) (*session, error) {
	conn, err := dial(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	c := &session{Source: s, conn: conn}
	if err := guard(ctx, s.cfg, conn, c.prepare); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *session) prepare(ctx context.Context) error {
	columns, err := c.inspected(ctx, c.conn)
	if err != nil {
		return err
	}
	c.keyTypes = c.schema.keyTypes(columns)
	// LISTEN precedes the first read, so that a commit between the two sends a notification.
	if _, err := c.conn.Exec(ctx, "LISTEN "+ident(channel(c.model))); err != nil {
		return err
	}
	heard, err := c.notifyArrives(ctx)
	if err != nil {
		return err
	}
	c.transactionPooled = !heard
	if heard && pooled(c.conn) {
		if err := setSession(ctx, c.conn, false); err != nil { // the pooler is in session mode
			return err
		}
	}
	c.at.Definition, c.at.Spelling = c.schema.labelDefinition(), spelling
	if c.at.SchemaDigest, err = c.schemaDigest(ctx); err != nil {
		return err
	}
	return c.conn.QueryRow(ctx, "SELECT "+identityColumns+", "+statisticsColumn+", $1::text::regclass::oid",
		c.schema.outbox()).
		Scan(&c.at.System, &c.at.Timeline, &c.at.Statistics, &c.at.Outbox)
}

// close ends the connection; the server then releases the advisory lock.
func (c *session) close() { c.closeConn(c.conn) }

// intact reports whether the last row that was read before the PostgreSQL server crashed still exists, or was pruned.
// If so, the outbox rows after position p are still valid and are read first. Then the whole table is read in any case,
// because the crash may have lost commits.
func (c *session) intact(ctx context.Context, p position, pruned uint64) (found bool, err error) {
	if p.Last.XID <= pruned {
		return true, nil
	}
	err = c.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+c.schema.outbox()+" WHERE xid = $1::text::xid8 AND seq = $2)",
		strconv.FormatUint(p.Last.XID, 10), p.Last.Seq).Scan(&found)
	return found, err
}

// resume sets the position to continue from. If the stored position cannot be used, or the server has crashed, it also
// reads the whole table.
func (c *session) resume(ctx context.Context) error {
	text, err := c.sink.Cursor(ctx, c.Name())
	if err != nil {
		return &sinkError{"read the cursor", err}
	}
	if text == "" {
		c.otherSpelling = true // items of an earlier read may exist even without a cursor
		return c.fullRead(ctx, firstRead)
	}
	stored, err := parsePosition(text)
	if err != nil {
		return c.fullRead(ctx, err.Error())
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
	c.lastRead = stored.Last.XID
	c.otherSpelling = stored.Spelling != spelling
	reason := stored.lost(c.at, now.next, prunedXID)
	switch {
	case reason == "" && !stored.Compare:
		c.at = stored
		return nil
	case reason == "":
		c.at, reason = stored, serverCrashed
	case reason == serverCrashed:
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
	return c.fullRead(ctx, reason)
}
