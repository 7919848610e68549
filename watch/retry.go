package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/retraind/retraind/internal/text"
)

// permanentPause is the retry interval after a fault that waiting does not fix.
const permanentPause = time.Minute

// Retrier reruns a source after errors and keeps its Health. Every source embeds one, which provides Health and
// Retry. Safe for concurrent use.
type Retrier struct {
	Log  *slog.Logger
	poke func(n int)
	wake chan struct{}

	mu       sync.Mutex // guards the fields below
	health   Health
	unstored bool // the last batch could not be stored
}

// NewRetrier returns the Retrier of a model's source. poke is called after each batch in which changes were stored,
// with their number; it must not block, and may be nil.
func NewRetrier(model, source string, poke func(n int), log *slog.Logger) *Retrier {
	return &Retrier{
		Log: log.With("component", "watch", "model", model, "source", source), poke: poke,
		wake: make(chan struct{}, 1), health: Health{Since: time.Now()},
	}
}

// Health implements Source.
func (r *Retrier) Health() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health
}

// Retry implements Source: it ends the pause after an error.
func (r *Retrier) Retry() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Retried returns a channel that receives a value after each Retry, for a source that also waits while it is up.
func (r *Retrier) Retried() <-chan struct{} { return r.wake }

// unstoredSettles is how long a source that has nothing to store must run without an error before a fault of the store
// counts as fixed.
const unstoredSettles = 30 * time.Second

// RunWithRetry reruns `follow` until ctx ends, with exponential back-off after errors and at once after a nil error.
// `follow` calls onUp once it is connected and has read what it missed. After a fault of the store, onUp does not
// count as success: the source stays down, and the back-off continues, until a batch is stored or `follow` has run for
// unstoredSettles without an error.
func (r *Retrier) RunWithRetry(ctx context.Context, follow func(ctx context.Context, onUp func()) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		var settle *time.Timer
		settled := make(chan struct{})
		err := follow(ctx, func() {
			if r.Up() {
				pause.Reset()
			} else if settle == nil {
				settle = time.AfterFunc(unstoredSettles, func() {
					defer close(settled)
					r.storeWorks()
				})
			}
		})
		if settle != nil && !settle.Stop() {
			<-settled // otherwise it could mark the source as up after the error below
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		r.Down(err)
		r.wait(ctx, pause, err)
	}
}

// storeWorks records that the store works again after a fault.
func (r *Retrier) storeWorks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unstored {
		r.unstored = false
		r.up()
	}
}

// wait sleeps before the next attempt, longer after a permanent fault; Retry cuts it short.
func (r *Retrier) wait(ctx context.Context, pause *backoff.ExponentialBackOff, err error) {
	d := pause.NextBackOff()
	var fault *Fault
	if errors.As(err, &fault) && fault.Permanent {
		d = permanentPause
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-timer.C:
	}
}

// Up marks the source as following and returns true. If the last batch could not be stored, it does nothing and returns
// false.
func (r *Retrier) Up() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.unstored {
		r.up()
	}
	return !r.unstored
}

// up marks the source as following. The caller must hold mu.
func (r *Retrier) up() {
	if !r.health.Up {
		r.Log.Info("following label changes")
		r.health.Up, r.health.Since, r.health.Error = true, time.Now(), ""
	}
}

// Down marks the source as not following and records the reason. It logs the reason if it differs from the previous
// one.
func (r *Retrier) Down(err error) {
	text := OneLine(err)
	var fault *Fault
	stores := errors.As(err, &fault) && fault.Store
	if stores {
		text = OneLine(fault) // without the varying details of the batch
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unstored = r.unstored || stores
	if r.health.Up {
		r.health.Up, r.health.Since = false, time.Now()
	}
	if r.health.Error != text {
		r.health.Error = text
		r.Log.Warn("label changes are not read; they remain at their source", "err", text)
	}
}

// Stored records that a batch was stored, and calls poke unless the batch contained nothing new.
func (r *Retrier) Stored(receipt Receipt) {
	r.storeWorks()
	if receipt.Taken == 0 {
		return
	}
	r.mu.Lock()
	r.health.LastEvent = time.Now()
	r.mu.Unlock()
	if receipt.Waiting > 0 {
		r.Log.Info("labels are buffered until their items are known", "count", receipt.Waiting)
	}
	if r.poke != nil {
		r.poke(receipt.Taken)
	}
}

// Refused counts a refused event, request or file, records it in Health as the last refused one, and logs it.
func (r *Retrier) Refused(place, reason string) {
	r.CountRefused(place, reason)
	r.Log.Warn("an event was refused", "place", place, "reason", reason)
}

// CountRefused does the same as Refused, but does not log, for a caller that logs many refusals at once.
func (r *Retrier) CountRefused(place, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Refused++
	r.health.Notice = fmt.Sprintf("%s, the last at %s: %s", text.Plural(r.health.Refused, "refused event"), place, reason)
}

// Notice sets Health's notice.
func (r *Retrier) Notice(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Notice = text
}
