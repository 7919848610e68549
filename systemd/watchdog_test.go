package systemd

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchdogFollowsProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var pings atomic.Int64
		w := &Watchdog{interval: 30 * time.Second, start: time.Now(), ping: func() error { pings.Add(1); return nil }}
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()

		for range 10 { // five minutes of a loop that makes progress
			time.Sleep(30 * time.Second)
			w.Progress()
			synctest.Wait()
		}
		if pings.Load() < 20 {
			t.Errorf("%d pings in five minutes, want one every ten seconds", pings.Load())
		}

		time.Sleep(31 * time.Second) // the loop hangs: the last ping is at most one interval after its last progress
		synctest.Wait()
		stuck := pings.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		if pings.Load() != stuck {
			t.Errorf("%d pings for a loop that hangs", pings.Load()-stuck)
		}

		w.Progress() // the loop continues, if systemd has not ended it
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if pings.Load() == stuck {
			t.Error("no ping after the loop went on")
		}

		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestWatchdogEnvironment(t *testing.T) {
	t.Parallel()
	own := strconv.Itoa(os.Getpid())
	for _, tc := range []struct {
		name, usec, pid string
		want            time.Duration
	}{
		{"asked for", "60000000", own, time.Minute},
		{"without a process", "60000000", "", time.Minute},
		{"another process", "60000000", "1", 0},
		{"not asked for", "", "", 0},
		{"nonsense", "soon", own, 0},
		{"negative", "-5", own, 0},
	} {
		env := map[string]string{"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": tc.usec, "WATCHDOG_PID": tc.pid}
		w := NewNotifier(func(name string) string { return env[name] }).NewWatchdog()
		if w.Interval() != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, w.Interval(), tc.want)
		}
	}
}
