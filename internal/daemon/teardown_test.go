package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A teardown waits for each part, but no longer than its time limit. A second signal shortens all limits.
func TestTeardown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		second time.Duration // time of the second signal; 0: none
		took   time.Duration
		want   []string
	}{
		"patient": {0, 35 * time.Second, []string{"close hangs: not done after 30s", "close fails: broken"}},
		"hurried": {time.Second, time.Second + hurry + hurry, []string{"close hangs: not done when a second signal", "close slow: not done when a second signal", "close fails: broken"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hard, second := context.WithCancel(t.Context())
				if c.second > 0 {
					time.AfterFunc(c.second, second)
				}
				defer second()
				var order []string
				done := make(chan struct{})
				down := &teardown{log: slog.New(slog.DiscardHandler)}
				down.add("first opened", time.Second, func(context.Context) error { order = append(order, "first opened"); return nil })
				down.add("fails", time.Second, func(context.Context) error { order = append(order, "fails"); return errors.New("broken") })
				down.add("slow", time.Minute, func(context.Context) error { time.Sleep(5 * time.Second); return nil })
				down.add("hangs", 30*time.Second, func(context.Context) error { <-done; return nil })
				start := time.Now()
				err := down.run(hard)
				if took := time.Since(start); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
				close(done)
				if diff := cmp.Diff([]string{"fails", "first opened"}, order); diff != "" {
					t.Errorf("the last opened is closed first (-want +got):\n%s", diff)
				}
				lines := strings.Split(err.Error(), "\n")
				if len(lines) != len(c.want) {
					t.Fatalf("errors: %v", err)
				}
				for i, want := range c.want {
					if !strings.HasPrefix(lines[i], want) {
						t.Errorf("error %q, want %q", lines[i], want)
					}
				}
				time.Sleep(time.Minute) // abandoned steps end before the bubble does
			})
		})
	}
}

// One hanging loop keeps the watchdog from being fed, even if the others make progress.
func TestWatchdogNeedsProgressOfEveryLoop(t *testing.T) {
	t.Parallel()
	beats := 0
	p := newProgress(func() { beats++ }, []string{"a", "b", "c"})
	for range 100 {
		p.made("a")
		p.made("b")
	}
	if beats != 0 {
		t.Errorf("%d beats without c", beats)
	}
	p.made("c")
	p.made("c")
	p.made("b")
	if beats != 1 {
		t.Errorf("%d beats, want 1", beats)
	}
	p.made("a")
	if beats != 2 {
		t.Errorf("%d beats, want 2", beats)
	}
}
