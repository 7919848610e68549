package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newRetrier() *Retrier {
	return NewRetrier("m", SourceFiles, nil, slog.New(slog.DiscardHandler))
}

func TestRetrierPausesLongerAfterEachError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("time is up"))
		defer cancel()
		r, calls := newRetrier(), 0
		err := r.RunWithRetry(ctx, func(context.Context, func()) error {
			calls++
			return errors.New("unreachable")
		})
		if err == nil || err.Error() != "time is up" {
			t.Errorf("ended with %v", err)
		}
		// The pauses grow from 50 ms to 5 s, each by half, with a random factor of 0.5 to 1.5.
		if calls < 15 || calls > 40 {
			t.Errorf("%d calls in a minute", calls)
		}
		if h := r.Health(); h.Up || h.Error != "unreachable" {
			t.Errorf("health %+v", h)
		}
	})
}

func TestRetrierWaitsAMinuteAfterAPermanentFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, begun := newRetrier(), time.Now()
		var at []time.Duration
		go r.RunWithRetry(ctx, func(context.Context, func()) error { //nolint:errcheck // it ends with ctx
			at = append(at, time.Since(begun))
			return &Fault{Cause: "the password is wrong", Permanent: true}
		})
		synctest.Wait()
		time.Sleep(90 * time.Second)
		synctest.Wait()
		r.Retry()
		synctest.Wait()
		if len(at) != 3 || at[1] != time.Minute || at[2] != 90*time.Second {
			t.Errorf("called at %v", at)
		}
	})
}

func TestRetrierIsUpUntilTheNextError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, failed := newRetrier(), make(chan error)
		go r.RunWithRetry(ctx, func(ctx context.Context, onUp func()) error { //nolint:errcheck // it ends with ctx
			onUp()
			select {
			case err := <-failed:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		synctest.Wait()
		if h := r.Health(); !h.Up || h.Error != "" {
			t.Errorf("health %+v", h)
		}
		failed <- errors.New("it broke")
		synctest.Wait()
		if h := r.Health(); h.Up || h.Error != "it broke" {
			t.Errorf("health %+v", h)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if h := r.Health(); !h.Up || h.Error != "" {
			t.Errorf("health %+v", h)
		}
	})
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	if origin := OriginOf("run1"); origin != "retraind:run1" || !IsOwn(origin) {
		t.Errorf("origin %q", origin)
	}
	for _, other := range []string{"", "psql", "retraind", "my retraind:run1"} {
		if IsOwn(other) {
			t.Errorf("%q counts as retraind's own", other)
		}
	}
}

// TestRetrierWaitsForTheStore: if a source connects repeatedly while the store refuses writes, it stays down, with the
// same message, and retries less and less often.
func TestRetrierWaitsForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var log strings.Builder
		r := NewRetrier("m", SourcePostgres, nil, slog.New(slog.NewTextHandler(&log, nil)))
		var calls atomic.Int64
		var works atomic.Bool
		go r.RunWithRetry(ctx, func(ctx context.Context, onUp func()) error { //nolint:errcheck // it ends with ctx
			n := calls.Add(1)
			onUp()
			if h := r.Health(); !works.Load() && n > 1 && h.Up {
				t.Error("up while nothing can be stored")
			}
			if !works.Load() {
				fault := &Fault{Cause: "state directory /s: the disk is full", Store: true}
				return fmt.Errorf("store changes %d: %w", n, fault)
			}
			r.Stored(Receipt{Taken: 1})
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := calls.Load(); n < 15 || n > 40 {
			t.Errorf("%d calls in a minute", n)
		}
		if h := r.Health(); h.Up || h.Error != "state directory /s: the disk is full" {
			t.Errorf("health %+v", h)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 { // one when the source is up, one when it is down
			t.Errorf("%d lines in the log:\n%s", n, log.String())
		}
		works.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if h := r.Health(); !h.Up || h.Error != "" {
			t.Errorf("health %+v", h)
		}
	})
}

// TestRetrierFollowsWithNothingToStore: after a fault of the store, a source without anything to store is up again
// after unstoredSettles.
func TestRetrierFollowsWithNothingToStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, calls := newRetrier(), 0
		go r.RunWithRetry(ctx, func(ctx context.Context, onUp func()) error { //nolint:errcheck // it ends with ctx
			if calls++; calls == 1 {
				return &Fault{Cause: "the disk is full", Store: true}
			}
			onUp()
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(unstoredSettles / 2)
		synctest.Wait()
		if r.Health().Up {
			t.Error("up at once")
		}
		time.Sleep(unstoredSettles)
		synctest.Wait()
		if h := r.Health(); !h.Up || h.Error != "" {
			t.Errorf("health %+v", h)
		}
	})
}

// TestRetrierFailsAsItSettles: an error at the moment when a fault of the store would count as fixed keeps the source
// down.
func TestRetrierFailsAsItSettles(t *testing.T) {
	t.Parallel()
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, calls := newRetrier(), 0
			go r.RunWithRetry(ctx, func(ctx context.Context, onUp func()) error { //nolint:errcheck // it ends with ctx
				switch calls++; calls {
				case 1:
					return &Fault{Cause: "the disk is full", Store: true}
				case 2:
					onUp()
					time.Sleep(unstoredSettles)
					return errors.New("it broke")
				}
				<-ctx.Done()
				return ctx.Err()
			})
			time.Sleep(unstoredSettles + 10*time.Second)
			synctest.Wait()
			if h := r.Health(); h.Up || h.Error != "it broke" {
				t.Fatalf("health %+v", h)
			}
		})
	}
}
