package postgres

import (
	"context"
	"errors"
	"time"
)

// A pooler in transaction mode accepts LISTEN but delivers no notification. Session settings and locks stay with a
// backend, which the pooler then gives to another client. So each connect tests whether a notification arrives. If
// none does, the outbox is polled in separate transactions, without session state.
const (
	// notifyTestTimeout is how long the test waits.
	notifyTestTimeout = 2 * time.Second
	// silentPollInterval is how often the outbox is polled if no notifications arrive.
	silentPollInterval = time.Second
)

// notifyArrives reports whether a notification that is sent over another connection arrives at this one.
func (c *session) notifyArrives(ctx context.Context) (bool, error) {
	other, err := dial(ctx, c.cfg)
	if err != nil {
		// No second connection is available: assume that notifications arrive unless dial has detected a pooler.
		c.Log.Debug("cannot test whether notifications arrive", "err", err)
		return !pooled(c.conn), nil
	}
	defer closeQuietly(other)
	if _, err := other.Exec(ctx, "SELECT pg_notify($1, '')", channel(c.model)); err != nil {
		return false, err
	}
	return c.waitForNotification(ctx, notifyTestTimeout)
}

// silentInterval returns the polling interval for a connection on which no notification arrives.
func (c *session) silentInterval() time.Duration { return min(silentPollInterval, c.cfg.poll()) }

// pollSilent polls the outbox, because the triggers do not notify or notifications do not arrive.
func (c *session) pollSilent(ctx context.Context) error {
	for {
		if _, err := c.readNew(ctx); err != nil {
			return err
		}
		if err := c.runMaintenance(ctx); err != nil {
			return err
		}
		if err := pause(ctx, c.silentInterval()); err != nil {
			return err
		}
	}
}

// inTransaction runs `read`, which only reads from the database. On a connection that is pooled in transaction mode it
// runs `read` in a separate transaction. In that transaction it first applies the session settings and checks that the
// server is still the same.
func (c *session) inTransaction(ctx context.Context, read func() error) error {
	if !c.transactionPooled {
		return read()
	}
	if _, err := c.conn.Exec(ctx, "BEGIN READ ONLY"); err != nil {
		return err
	}
	err := setSession(ctx, c.conn, true)
	if err == nil {
		err = c.sameServer(ctx)
	}
	if err == nil {
		err = read()
	}
	if err != nil {
		return err // the connection is closed, which also ends the transaction
	}
	_, err = c.conn.Exec(ctx, "COMMIT")
	return err
}

// sameServer returns an error if the server behind the pooler was exchanged or has crashed. The connection to the
// pooler reveals neither.
func (c *session) sameServer(ctx context.Context) error {
	var now position
	if err := c.conn.QueryRow(ctx, "SELECT "+identityColumns+", "+statisticsColumn).Scan(&now.System, &now.Timeline,
		&now.Statistics); err != nil {
		return err
	}
	if now.identity != c.at.identity || now.Statistics != c.at.Statistics {
		return errors.New("the server behind the pooler was replaced or has crashed")
	}
	return nil
}
