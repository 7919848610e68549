package postgres

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// After a change the listener keeps reading for some steps without the lock. While changes stream in, writers then
	// need not notify, and a change waits lingerStep at most, or lingerMost after a read of many rows.
	lingerStep  = 4 * time.Millisecond
	lingerSteps = 6
	// lingerRow lengthens a step for each row that was read, up to lingerMost. At thousands of rows a second, one read
	// then returns many rows, which leaves CPU time to the server's writers.
	lingerRow  = 500 * time.Microsecond
	lingerMost = 40 * time.Millisecond
	// unlockedPollMin and unlockedPollMax bound the polling interval while writers are open that will not notify.
	unlockedPollMin = 5 * time.Millisecond
	unlockedPollMax = time.Second
	// lockTimeout is how long takeLock waits for the advisory lock, which writers take for some microseconds.
	lockTimeout = "20ms"
)

// listen follows the outbox until ctx ends or the connection breaks.
func (c *session) listen(ctx context.Context) error {
	for {
		if err := c.readUntilIdle(ctx); err != nil {
			return err
		}
		if err := c.waitForNotify(ctx); err != nil {
			return err
		}
	}
}

// readUntilIdle releases the lock, so that writers do not notify, and reads until nothing arrived for some steps.
func (c *session) readUntilIdle(ctx context.Context) error {
	if err := c.releaseLock(ctx); err != nil {
		return err
	}
	for idle := 0; idle <= lingerSteps; idle++ {
		c.notified().Store(false) // the next read covers earlier notifications
		n, err := c.readNew(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			idle = 0
		}
		if err := c.runMaintenance(ctx); err != nil {
			return err
		}
		if err := pause(ctx, min(lingerMost, max(lingerStep, time.Duration(n)*lingerRow))); err != nil {
			return err
		}
	}
	return nil
}

// takeLock takes the advisory lock, which makes writers notify. If another listener holds the lock (a second daemon, or
// an earlier connection that the server has not closed yet), takeLock returns nil without the lock. Writers then notify
// because of the other listener.
func (c *session) takeLock(ctx context.Context) error {
	if c.locked {
		return nil
	}
	var patience string
	var void any
	err := c.conn.QueryRow(ctx, "SELECT set_config('lock_timeout', $3, true), pg_advisory_lock($1, $2)",
		lockClass, lockObject(c.model), lockTimeout).Scan(&patience, &void)
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "55P03" {
		return nil
	}
	c.locked = err == nil
	return err
}

func (c *session) releaseLock(ctx context.Context) error {
	if !c.locked {
		return nil
	}
	_, err := c.conn.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", lockClass, lockObject(c.model))
	c.locked = false
	return err
}

// waitForNotify takes the advisory lock and reads the outbox. If there are no new rows, it blocks until a notification
// arrives, and reads again after each poll interval. Writers that checked the lock before it was taken do not notify
// when they commit, so waitForNotify polls the outbox more often until these writers have ended.
func (c *session) waitForNotify(ctx context.Context) error {
	var unnotified []string // transactions that may have checked the lock before it was taken
	interval := unlockedPollMin
	polled := time.Now()
	for first := true; ; first = false {
		wasLocked := c.locked && !first
		if err := c.takeLock(ctx); err != nil {
			return err
		}
		writers, n, err := c.listWritersAndRead(ctx)
		if err != nil || n > 0 {
			return err
		}
		if err := c.runMaintenance(ctx); err != nil {
			return err
		}
		if !wasLocked {
			unnotified = writers
		}
		unnotified = slices.DeleteFunc(unnotified, func(writer string) bool { return !slices.Contains(writers, writer) })
		for unsettled := !c.locked || len(unnotified) > 0; ; {
			wait := min(pingEvery, time.Until(polled.Add(c.cfg.poll())))
			if unsettled {
				wait = min(wait, interval)
				interval = min(2*interval, unlockedPollMax)
			}
			if notified, err := c.waitForNotification(ctx, wait); err != nil || notified {
				return err
			}
			if unsettled || time.Since(polled) >= c.cfg.poll() {
				break
			}
			if err := c.ping(ctx); err != nil {
				return err
			}
			if time.Since(c.maintained) >= maintenanceInterval {
				break
			}
		}
		polled = time.Now()
	}
}

// listWritersAndRead lists the transactions that are writing to the outbox, then reads all new rows.
func (c *session) listWritersAndRead(ctx context.Context) (writers []string, n int, err error) {
	if writers, err = c.openTransactions(ctx); err != nil {
		return nil, 0, err
	}
	n, err = c.readNew(ctx)
	return writers, n, err
}

// notified returns the flag that a notification sets.
func (c *session) notified() *atomic.Bool {
	flag, ok := c.conn.PgConn().CustomData()[notifiedKey].(*atomic.Bool)
	if !ok {
		return &atomic.Bool{}
	}
	return flag
}

// waitForNotification blocks until a notification arrives or the time wait has passed. The payload is ignored, because
// any client can send a notification; it only wakes the reader.
func (c *session) waitForNotification(ctx context.Context, wait time.Duration) (bool, error) {
	if c.notified().Swap(false) {
		return true, nil
	}
	limited, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	err := c.conn.PgConn().WaitForNotification(limited)
	switch {
	case err == nil:
		c.notified().Store(false)
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case limited.Err() != nil && !c.conn.IsClosed():
		return false, nil
	}
	return false, err
}

// ping detects a dead peer, which a connection that only waits would not notice.
func (c *session) ping(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return c.conn.Ping(limited)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
