package watch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// After a change the listener stays awake for some reads: while changes stream in nobody needs to ring, and a
	// change waits a few milliseconds at most.
	lingerStep  = 4 * time.Millisecond
	lingerSteps = 6
	// What may have been written without a ring is looked for at these intervals.
	restlessMin = 5 * time.Millisecond
	restlessMax = time.Second
	// lockPatience is how long the listener waits for writers that rang to end their transactions.
	lockPatience = "20ms"
)

// listen follows the outbox until ctx ends or the connection breaks.
func (c *session) listen(ctx context.Context) error {
	for {
		if err := c.awake(ctx); err != nil {
			return err
		}
		if err := c.asleep(ctx); err != nil {
			return err
		}
	}
}

// awake reads until nothing came for some steps, with the doorbell's lock as soon as the writers that rang are done.
func (c *session) awake(ctx context.Context) error {
	if _, err := c.round(ctx); err != nil {
		return err
	}
	for idle := 0; idle < lingerSteps; idle++ {
		if err := c.lock(ctx); err != nil {
			return err
		}
		n, err := c.round(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			idle = -1
		}
		if err := c.house(ctx); err != nil {
			return err
		}
		if err := pause(ctx, lingerStep); err != nil {
			return err
		}
	}
	return nil
}

// lock takes the doorbell's lock alone. Waiting for it keeps new writers from ringing; a writer whose transaction lasts
// is not waited for long, and then writers go on ringing.
func (c *session) lock(ctx context.Context) error {
	if c.locked {
		return nil
	}
	var patience string
	var void any
	err := c.conn.QueryRow(ctx, "SELECT set_config('lock_timeout', $3, true), pg_advisory_lock($1, $2)",
		lockClass, lockObject(c.model), lockPatience).Scan(&patience, &void)
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "55P03" {
		return nil
	}
	c.locked = err == nil
	return err
}

// foreign tells whether another listener holds the lock: a second daemon, or what the server has left of an earlier
// connection of ours. While it does, nobody rings for us.
func (c *session) foreign(ctx context.Context) (bool, error) {
	var shared bool
	err := c.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock_shared($1, $2)", lockClass, lockObject(c.model)).Scan(&shared)
	if err != nil || !shared {
		return true, err
	}
	_, err = c.conn.Exec(ctx, "SELECT pg_advisory_unlock_shared($1, $2)", lockClass, lockObject(c.model))
	return false, err
}

// asleep gives the lock back, reads what was committed meanwhile, and waits for a ring. Transactions that found the
// lock taken and commit later do not ring, so they are looked for until none can be left.
func (c *session) asleep(ctx context.Context) error {
	foreign := !c.locked
	if c.locked {
		if _, err := c.conn.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", lockClass, lockObject(c.model)); err != nil {
			return err
		}
		c.locked = false
	}
	var silent []string // transactions that may have found the lock taken
	restless := restlessMin
	polled := time.Now()
	for first := true; ; first = false {
		wasForeign := foreign
		if foreign {
			var err error
			if foreign, err = c.foreign(ctx); err != nil {
				return err
			}
		}
		writers, n, err := c.look(ctx)
		if err != nil || n > 0 {
			return err
		}
		if err := c.house(ctx); err != nil {
			return err
		}
		if first || wasForeign {
			silent = writers
		}
		silent = slices.DeleteFunc(silent, func(writer string) bool { return !slices.Contains(writers, writer) })
		for unsettled := foreign || len(silent) > 0; ; {
			wait := min(pingEvery, time.Until(polled.Add(c.cfg.poll())))
			if unsettled {
				wait = min(wait, restless)
				restless = min(2*restless, restlessMax)
			}
			if rung, err := c.ring(ctx, wait); err != nil || rung {
				return err
			}
			if unsettled || time.Since(polled) >= c.cfg.poll() {
				break
			}
			if err := c.ping(ctx); err != nil {
				return err
			}
			if time.Since(c.housed) >= houseEvery {
				break
			}
		}
		polled = time.Now()
	}
}

// look reads everything that can be read, and returns the transactions that were writing to the outbox before that.
func (c *session) look(ctx context.Context) (writers []string, n int, err error) {
	if writers, err = c.writers(ctx); err != nil {
		return nil, 0, err
	}
	n, err = c.round(ctx)
	return writers, n, err
}

// ring waits for a notification. Its payload is not looked at: anybody may send one, and it only says "look".
func (c *session) ring(ctx context.Context, wait time.Duration) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	_, err := c.conn.WaitForNotification(limited)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case limited.Err() != nil && !c.conn.IsClosed():
		return false, nil
	}
	return false, err
}

// ping finds a dead peer, of which a waiting connection hears nothing.
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
