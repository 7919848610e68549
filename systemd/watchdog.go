package systemd

import (
	"context"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// Watchdog pings the service manager's watchdog for as long as progress is reported. The loop that must not hang
// reports its progress; a timer alone would keep pinging for a daemon that is stuck.
type Watchdog struct {
	interval time.Duration // WatchdogSec of the unit; 0: there is none
	ping     func() error
	start    time.Time
	last     atomic.Int64 // the last progress, in nanoseconds since start
}

// NewWatchdog returns the watchdog that the unit configures with WatchdogSec=. It does nothing if the unit configures
// none, or if it is meant for another process.
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

// Interval is the maximum age of the last progress; 0 without a watchdog. A loop that waits must report at least every
// half interval.
func (w *Watchdog) Interval() time.Duration { return w.interval }

// Progress reports an iteration of the loop.
func (w *Watchdog) Progress() { w.last.Store(int64(time.Since(w.start))) }

// Run pings until ctx ends, except while the last progress is older than the interval. After another interval without
// a ping systemd ends the process with SIGABRT, which writes the stacks of all goroutines to the journal.
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
			// Ignored: systemd decides by the pings that it receives.
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
