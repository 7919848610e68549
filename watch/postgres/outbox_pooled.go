package postgres

import (
	"context"
	"errors"
	"time"
)

// A pooler in transaction mode answers LISTEN with success and delivers nothing, and session settings and locks stay with
// a backend that another client gets next. So each connect tests whether a notification arrives; where none does, changes
// are polled for in transactions of their own, without session state.
const (
	// notifyTestTimeout is how long the test waits.
	notifyTestTimeout = 2 * time.Second
	// silentPollInterval is how often changes are polled for where no notification arrives.
	silentPollInterval = time.Second
)

// notifyArrives says whether a notification sent over another connection arrives at this one.
func (c *session) notifyArrives(ctx context.Context) (bool, error) {
	other, err := dial(ctx, c.cfg)
	if err != nil {
		// No second connection is available: trust a connection without a pooler.
		c.Log.Debug("whether notifications arrive was not tested", "err", err)
		return !pooled(c.conn), nil
	}
	defer closeQuietly(other)
	if _, err := other.Exec(ctx, "SELECT pg_notify($1, '')", channel(c.model)); err != nil {
		return false, err
	}
	return c.waitForNotification(ctx, notifyTestTimeout)
}

// silentInterval is how often changes are polled for where no notification comes.
func (c *session) silentInterval() time.Duration { return min(silentPollInterval, c.cfg.poll()) }

// pollSilent follows by polling, where the triggers do not notify or notifications do not arrive.
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

// inTransaction runs a reading query in a transaction of its own where the connection is pooled in transaction mode, with
// the settings that the session has otherwise.
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
		return err // the connection is given up, and with it the transaction
	}
	_, err = c.conn.Exec(ctx, "COMMIT")
	return err
}

// sameServer is an error when the pooler has another server behind it than before, or the same one after a crash: the
// connection to the pooler lives on.
func (c *session) sameServer(ctx context.Context) error {
	var now position
	if err := c.conn.QueryRow(ctx, "SELECT "+identityColumns+", "+statisticsColumn).Scan(&now.System, &now.Timeline,
		&now.Statistics); err != nil {
		return err
	}
	if now.identity != c.at.identity || now.Statistics != c.at.Statistics {
		return errors.New("the server behind the pooler is another one, or has crashed")
	}
	return nil
}
