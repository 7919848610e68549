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
	// After a change the listener stays awake for some reads: while changes stream in nobody needs to ring, and a
	// change waits a few milliseconds at most.
	lingerStep  = 4 * time.Millisecond
	lingerSteps = 6
	// lingerRow is how much longer it waits for each row that came, up to lingerMost: of thousands a second many are
	// read at once, which leaves the server to its writers.
	lingerRow  = 500 * time.Microsecond
	lingerMost = 40 * time.Millisecond
	// What may have been written without a ring is looked for at these intervals.
	restlessMin = 5 * time.Millisecond
	restlessMax = time.Second
	// armPatience is how long the listener waits for the doorbell's lock, which writers take for some microseconds.
	armPatience = "20ms"
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

// awake reads until nothing came for some steps. Nobody rings meanwhile.
func (c *session) awake(ctx context.Context) error {
	if err := c.disarm(ctx); err != nil {
		return err
	}
	for idle := 0; idle <= lingerSteps; idle++ {
		c.rung().Store(false) // what rang until now is read now
		n, err := c.round(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			idle = 0
		}
		if err := c.house(ctx); err != nil {
			return err
		}
		if err := pause(ctx, min(lingerMost, max(lingerStep, time.Duration(n)*lingerRow))); err != nil {
			return err
		}
	}
	return nil
}

// arm takes the doorbell's lock, so that writers ring. It fails while another listener sleeps: a second daemon, or what
// the server has left of an earlier connection of ours. Writers then ring until that one wakes.
func (c *session) arm(ctx context.Context) error {
	if c.armed {
		return nil
	}
	var patience string
	var void any
	err := c.conn.QueryRow(ctx, "SELECT set_config('lock_timeout', $3, true), pg_advisory_lock($1, $2)",
		lockClass, lockObject(c.model), armPatience).Scan(&patience, &void)
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "55P03" {
		return nil
	}
	c.armed = err == nil
	return err
}

func (c *session) disarm(ctx context.Context) error {
	if !c.armed {
		return nil
	}
	_, err := c.conn.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", lockClass, lockObject(c.model))
	c.armed = false
	return err
}

// asleep arms the doorbell, reads what was committed meanwhile, and waits for a ring. Transactions that found it unarmed
// and commit later do not ring, so they are looked for until none can be left.
func (c *session) asleep(ctx context.Context) error {
	var silent []string // transactions that may have found it unarmed
	restless := restlessMin
	polled := time.Now()
	for first := true; ; first = false {
		wasArmed := c.armed && !first
		if err := c.arm(ctx); err != nil {
			return err
		}
		writers, n, err := c.look(ctx)
		if err != nil || n > 0 {
			return err
		}
		if err := c.house(ctx); err != nil {
			return err
		}
		if !wasArmed {
			silent = writers
		}
		silent = slices.DeleteFunc(silent, func(writer string) bool { return !slices.Contains(writers, writer) })
		for unsettled := !c.armed || len(silent) > 0; ; {
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

// rung tells whether somebody has rung.
func (c *session) rung() *atomic.Bool {
	rung, ok := c.conn.PgConn().CustomData()[rungKey].(*atomic.Bool)
	if !ok {
		return &atomic.Bool{}
	}
	return rung
}

// ring waits for a notification. Its payload is not looked at: anybody may send one, and it only says "look".
func (c *session) ring(ctx context.Context, wait time.Duration) (bool, error) {
	if c.rung().Swap(false) {
		return true, nil
	}
	limited, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	err := c.conn.PgConn().WaitForNotification(limited)
	switch {
	case err == nil:
		c.rung().Store(false)
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
