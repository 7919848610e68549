package systemd

import (
	"context"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// Watchdog keeps the service manager's watchdog quiet for as long as somebody reports progress. The one who reports is the
// loop that must not hang: a timer of its own would go on pinging for a daemon that is stuck.
type Watchdog struct {
	interval time.Duration // WatchdogSec of the unit; 0: there is none
	ping     func() error
	start    time.Time
	last     atomic.Int64 // the last progress, in nanoseconds since start
}

// NewWatchdog returns the watchdog that the unit asked for with WatchdogSec=; it is idle where the unit asked for none or
// meant another process.
func (n *Notifier) NewWatchdog() *Watchdog {
	w := &Watchdog{ping: func() error { return n.send("WATCHDOG=1") }, start: time.Now()}
	usec, err := strconv.ParseInt(n.env("WATCHDOG_USEC"), 10, 64)
	pid := n.env("WATCHDOG_PID")
	if err != nil || usec <= 0 || !n.Enabled() || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return w
	}
	w.interval = time.Duration(usec) * time.Microsecond
	return w
}

// Interval is how old the last progress may become; 0 when nobody watches. A loop that may wait for long reports at least
// every half interval.
func (w *Watchdog) Interval() time.Duration { return w.interval }

// Progress says that the loop went round.
func (w *Watchdog) Progress() { w.last.Store(int64(time.Since(w.start))) }

// Run pings until ctx ends. While progress is older than the interval it does not, and after another interval without a ping
// systemd ends the process with SIGABRT, which leaves all goroutines in the journal.
func (w *Watchdog) Run(ctx context.Context) error {
	if w.interval <= 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	w.Progress()
	tick := time.NewTicker(w.interval / 3)
	defer tick.Stop()
	for {
		if w.alive() {
			// A ping that cannot be delivered is the manager's trouble: it decides by the pings that arrive.
			_ = w.ping()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (w *Watchdog) alive() bool {
	return time.Since(w.start)-time.Duration(w.last.Load()) < w.interval
}
