package watch

import (
	"sync"
	"time"
)

// Coalescer folds wake-ups: it fires when none came for Wait, at the latest MaxWait after the first, or at once
// when MaxEvents were counted. A burst therefore costs one evaluation, and a steady trickle cannot starve it. It
// keeps a count, not the events. The zero values of MaxWait and MaxEvents mean no bound; a zero Wait fires at each
// Poke.
type Coalescer struct {
	fired chan struct{}

	mu            sync.Mutex // guards the fields below
	wait, maxWait time.Duration
	maxEvents     int
	count         int       // events since it last fired
	first         time.Time // when the first of them came
	timer         *time.Timer
	epoch         int // distinguishes the present timer from stopped ones that still fire
	stopped       bool
}

// NewCoalescer returns a Coalescer with no pending events.
func NewCoalescer(wait, maxWait time.Duration, maxEvents int) *Coalescer {
	return &Coalescer{wait: wait, maxWait: maxWait, maxEvents: maxEvents, fired: make(chan struct{}, 1)}
}

// Set changes the bounds. A timer that already runs keeps its time.
func (c *Coalescer) Set(wait, maxWait time.Duration, maxEvents int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait, c.maxWait, c.maxEvents = wait, maxWait, maxEvents
	if c.count > 0 && maxEvents > 0 && c.count >= maxEvents {
		c.fire()
	}
}

// C receives one value per firing; firings that were not received in time are merged into one.
func (c *Coalescer) C() <-chan struct{} { return c.fired }

// Poke reports n events. It never blocks and is safe for concurrent use.
func (c *Coalescer) Poke(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || n <= 0 {
		return
	}
	now := time.Now()
	if c.count == 0 {
		c.first = now
	}
	c.count += n
	if c.wait <= 0 || c.maxEvents > 0 && c.count >= c.maxEvents {
		c.fire()
		return
	}
	delay := c.wait
	if c.maxWait > 0 {
		delay = min(delay, max(0, c.first.Add(c.maxWait).Sub(now)))
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.epoch++
	epoch := c.epoch
	c.timer = time.AfterFunc(delay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.epoch == epoch && c.count > 0 {
			c.fire()
		}
	})
}

// Stop ends the timer; later pokes are ignored.
func (c *Coalescer) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.epoch++
	if c.timer != nil {
		c.timer.Stop()
	}
}

// fire signals C; mu is held.
func (c *Coalescer) fire() {
	c.count = 0
	c.epoch++
	select {
	case c.fired <- struct{}{}:
	default: // the previous signal has not been received yet, and covers this one
	}
}
