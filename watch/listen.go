package watch

import (
	"context"
	"time"
)

const (
	// After a change the listener stays awake for some reads: while changes stream in nobody needs to ring, and a
	// change waits a few milliseconds at most.
	lingerStep  = 4 * time.Millisecond
	lingerSteps = 6
	// What may have been written without a ring is looked for at these intervals.
	restlessMin = 5 * time.Millisecond
	restlessMax = time.Second
)

// listen follows the outbox until ctx ends or the connection breaks.
func (c *session) listen(ctx context.Context) error {
	for {
		n, err := c.awake(ctx)
		if err != nil {
			return err
		}
		for n > 0 {
			if n, err = c.linger(ctx); err != nil {
				return err
			}
		}
		if err := c.prune(ctx); err != nil {
			return err
		}
		if err := c.asleep(ctx); err != nil {
			return err
		}
	}
}

// awake takes the doorbell's lock, so that nobody rings, and reads.
func (c *session) awake(ctx context.Context) (int, error) {
	if err := c.lock(ctx); err != nil {
		return 0, err
	}
	return c.round(ctx)
}

// lock takes the doorbell's lock if it is free. A writer that rang holds it until its transaction ends, and so does
// another listener of the source while it is awake; they are not waited for.
func (c *session) lock(ctx context.Context) error {
	if c.locked {
		return nil
	}
	return c.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockClass, lockObject(c.model)).Scan(&c.locked)
}

// linger reads until nothing came for some steps.
func (c *session) linger(ctx context.Context) (int, error) {
	for range lingerSteps {
		if err := pause(ctx, lingerStep); err != nil {
			return 0, err
		}
		if n, err := c.round(ctx); err != nil || n > 0 {
			return n, err
		}
	}
	return 0, nil
}

// asleep gives the lock back, reads what was committed meanwhile, and waits for a ring. Three kinds of rows come
// without one: of transactions that found the lock taken and commit later; of transactions that found it taken by
// somebody else; and of those whose ringer rolled back. The first two are looked for until they cannot exist any more,
// the third at each poll.
func (c *session) asleep(ctx context.Context) error {
	foreign := !c.locked
	if c.locked {
		if _, err := c.conn.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", lockClass, lockObject(c.model)); err != nil {
			return err
		}
		c.locked = false
	}
	f, n, err := c.look(ctx)
	if err != nil || n > 0 {
		return err
	}
	silent := f.next // transactions below it may have found the lock taken
	restless := restlessMin
	polled := time.Now()
	for {
		unsettled := foreign || f.oldest < silent
		wait := min(pingEvery, time.Until(polled.Add(c.cfg.poll())))
		if unsettled {
			wait = min(wait, restless)
			restless = min(2*restless, restlessMax)
		}
		rung, err := c.ring(ctx, wait)
		if err != nil || rung {
			return err
		}
		if !unsettled && time.Since(polled) < c.cfg.poll() {
			if err := c.ping(ctx); err != nil {
				return err
			}
			continue
		}
		polled = time.Now()
		if f, n, err = c.look(ctx); err != nil || n > 0 {
			return err
		}
		if foreign {
			if err := c.lock(ctx); err != nil || c.locked {
				return err // now it can be given back in order
			}
		}
	}
}

// look reads everything that can be read, and returns which transactions ran before that.
func (c *session) look(ctx context.Context) (snapshot, int, error) {
	var text string
	if err := c.conn.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&text); err != nil {
		return snapshot{}, 0, err
	}
	before, err := parseSnapshot(text)
	if err != nil {
		return snapshot{}, 0, err
	}
	n, err := c.round(ctx)
	return before, n, err
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
