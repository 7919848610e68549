// Package waittest waits in tests for the effects of other goroutines and processes. All of its functions poll until a
// condition is met or a time limit is exceeded.
//
// The package has no state and starts no goroutine. It is never linked into the program.
package waittest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Patience is how long a test waits. It only has to detect hangs: on a loaded machine everything is slow.
const Patience = time.Minute

// pause is the polling interval.
const pause = 10 * time.Millisecond

// Eventually waits until ok returns true.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	EventuallyHolds(t, what, func() (bool, error) { return ok(), nil })
}

// EventuallyNil waits until ok returns nil.
func EventuallyNil(t testing.TB, ok func() error) {
	t.Helper()
	EventuallyHolds(t, "success", func() (bool, error) {
		err := ok()
		return err == nil, err
	})
}

// EventuallyHolds waits until ok returns true. If it does not in time, the test fails with the last error of ok, which
// describes the state.
func EventuallyHolds(t testing.TB, what string, ok func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), Patience, errors.New("not seen within "+Patience.String()))
	defer cancel()
	err := Until(ctx, what, func() (bool, error) {
		done, err := ok()
		if done {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Until waits until ok returns true without an error, or ctx ends.
func Until(ctx context.Context, what string, ok func() (bool, error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var last error
	for {
		done, err := ok()
		if err == nil && done {
			return nil
		}
		if err != nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %v)", what, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}
