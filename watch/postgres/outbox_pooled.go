package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A pooler in transaction mode answers LISTEN with success and delivers nothing, and what a session sets or locks stays
// with a server process that somebody else gets next. So it is proved at each connect that a ring arrives; where it does
// not, changes are polled for in transactions of their own, without any state of the session.
const (
	// loopBack is how long the proof may take.
	loopBack = 2 * time.Second
	// pooledPoll is how often changes are looked for where no ring arrives.
	pooledPoll = time.Second
)

// hears rings the doorbell over another connection, while this one is idle, as a writer would.
func (c *session) hears(ctx context.Context) (bool, error) {
	other, err := dial(ctx, c.cfg)
	if err != nil {
		// No second connection to be had: believe one that the server itself has answered.
		c.Log.Debug("the doorbell is not proved", "err", err)
		return !pooled(c.conn), nil
	}
	defer hangUp(other)
	if _, err := other.Exec(ctx, "SELECT pg_notify($1, '')", channel(c.model)); err != nil {
		return false, err
	}
	return c.ring(ctx, loopBack)
}

// pollPooled follows where nobody can ring.
func (c *session) pollPooled(ctx context.Context) error {
	every := min(pooledPoll, c.cfg.poll())
	c.notice(&c.pooled, fmt.Sprintf("a pooler in transaction mode stands before PostgreSQL and swallows notifications: changes are looked for every %s; let %s name the server itself, or a pool in session mode", every, c.cfg.dsnPlace()))
	for {
		if _, err := c.round(ctx); err != nil {
			return err
		}
		if err := c.house(ctx); err != nil {
			return err
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
}

// within runs a reading query in a transaction of its own where the connection is pooled, with the settings that
// otherwise the session has.
func (c *session) within(ctx context.Context, read func() error) error {
	if !c.shared {
		return read()
	}
	if _, err := c.conn.Exec(ctx, "BEGIN READ ONLY"); err != nil {
		return err
	}
	err := pin(ctx, c.conn, true)
	if err == nil {
		err = c.sameServer(ctx)
	}
	if err == nil {
		err = read()
	}
	if err != nil {
		return err // the connection is given up, and with it the transaction
	}
	_, err = c.conn.Exec(ctx, "COMMIT")
	return err
}

// sameServer is an error when the pooler has another server behind it than before, or the same one after a crash: the
// connection to the pooler lives on.
func (c *session) sameServer(ctx context.Context) error {
	var now position
	if err := c.conn.QueryRow(ctx, "SELECT "+identityColumns+", "+statisticsColumn).Scan(&now.System, &now.Timeline, &now.Statistics); err != nil {
		return err
	}
	if now.identity != c.at.identity || now.Statistics != c.at.Statistics {
		return errors.New("the server behind the pooler is another one, or has crashed")
	}
	return nil
}

// pin fixes what queries rely on, as a statement, since poolers refuse start-up parameters. A role's time limit for
// statements would cut off a long backlog.
func pin(ctx context.Context, conn *pgx.Conn, local bool) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("SELECT pg_catalog.set_config('search_path', 'pg_catalog', %[1]t), pg_catalog.set_config('statement_timeout', '0', %[1]t)", local))
	return err
}
