package watch

import (
	"sync"
	"time"
)

// Coalescer merges wake-ups. It fires when no new event has arrived for the time `wait`, at the latest `maxWait` after
// the first event, or at once when it has counted maxEvents. A burst of events therefore causes one evaluation, and a
// steady stream cannot delay the evaluation for ever. It counts the events and does not keep them. If maxWait or
// maxEvents is zero, that bound does not apply. If wait is zero, it fires at each Poke.
type Coalescer struct {
	fired chan struct{}

	mu            sync.Mutex // guards the fields below
	wait, maxWait time.Duration
	maxEvents     int
	count         int       // events since it last fired
	first         time.Time // when the first of these events arrived
	timer         *time.Timer
	epoch         int // distinguishes the current timer from stopped ones that still fire
	stopped       bool
}

// NewCoalescer returns a Coalescer with no pending events.
func NewCoalescer(wait, maxWait time.Duration, maxEvents int) *Coalescer {
	return &Coalescer{wait: wait, maxWait: maxWait, maxEvents: maxEvents, fired: make(chan struct{}, 1)}
}

// Set changes the bounds. It fires at once if the new maxEvents is already reached. Otherwise a running timer keeps its
// time until the next Poke.
func (c *Coalescer) Set(wait, maxWait time.Duration, maxEvents int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait, c.maxWait, c.maxEvents = wait, maxWait, maxEvents
	if c.count > 0 && maxEvents > 0 && c.count >= maxEvents {
		c.fire()
	}
}

// C returns a channel that receives one value per firing; firings that were not received in time are merged into one.
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

// fire signals C. The caller must hold mu.
func (c *Coalescer) fire() {
	c.count = 0
	c.epoch++
	select {
	case c.fired <- struct{}{}:
	default: // the previous signal has not been received yet, and covers this one
	}
}
