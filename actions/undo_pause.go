package actions

import (
	"context"
	"time"
)

// waitForUndo waits before an undo is retried: a temporary cause, such as a restart of the Docker engine, usually
// passes within minutes. The pauses double, and add up to promote.undo_within.
func waitForUndo(ctx context.Context, p Plan, a Action) error {
	wait := undoPause(p.Promote.WithDefaults().UndoWithin.D(), a.Attempt)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// undoPause returns the pause before an attempt: none before the first one, then 1, 2, 4, … equal shares. The pauses
// add up to all, the given total.
func undoPause(all time.Duration, attempt int) time.Duration {
	if attempt < 2 || attempt > undoAttempts {
		return 0
	}
	shares := time.Duration(1)<<(undoAttempts-1) - 1
	return all * (1 << (attempt - 2)) / shares
}
