package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// steady is what the event sources have in common: the condition of the source, and the trying again.
type steady struct {
	log   *slog.Logger
	poke  func(n int) // after each stored batch; never blocks; may be nil
	retry chan struct{}

	mu     sync.Mutex // guards health
	health Health
}

func newSteady(model, source string, poke func(int), log *slog.Logger) *steady {
	return &steady{
		log: log.With("component", "watch", "model", model, "source", source), poke: poke,
		retry: make(chan struct{}, 1), health: Health{Since: time.Now()},
	}
}

// Health implements Source.
func (s *steady) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health
}

// Retry makes a source that waits after trouble try again now.
func (s *steady) Retry() {
	select {
	case s.retry <- struct{}{}:
	default:
	}
}

// keepTrying calls follow again and again, with growing pauses, until ctx ends. follow calls well once it is up.
func (s *steady) keepTrying(ctx context.Context, follow func(ctx context.Context, well func()) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		err := follow(ctx, func() { s.up(); pause.Reset() })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.down(err)
		backOff(ctx, pause, err, s.retry)
	}
}

// backOff waits before the next try, longer where waiting does not mend the trouble; retry cuts it short.
func backOff(ctx context.Context, pause *backoff.ExponentialBackOff, err error, retry <-chan struct{}) {
	wait := pause.NextBackOff()
	var fault *Fault
	if errors.As(err, &fault) && fault.Permanent {
		wait = permanentPause
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-retry:
	case <-timer.C:
	}
}

func (s *steady) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.health.Up {
		s.log.Info("following label changes")
		s.health.Up, s.health.Since, s.health.Error = true, time.Now(), ""
	}
}

// down keeps the trouble for Health and logs it when it is another than before.
func (s *steady) down(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.Up {
		s.health.Up, s.health.Since = false, time.Now()
	}
	text := "it ended without a reason"
	if err != nil {
		text = redact(err)
	}
	if s.health.Error != text {
		s.health.Error = text
		s.log.Warn("label changes wait at their source", "err", text)
	}
}

// arrived tells that a batch is stored.
func (s *steady) arrived(r Receipt) {
	if r.Taken == 0 {
		return
	}
	s.mu.Lock()
	s.health.LastEvent = time.Now()
	s.mu.Unlock()
	if r.Waiting > 0 {
		s.log.Info("labels wait for items that nobody has brought yet", "count", r.Waiting)
	}
	if s.poke != nil {
		s.poke(r.Taken)
	}
}

// refused counts an event that cannot be taken, and keeps the last one for Health.
func (s *steady) refused(place, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.Refused++
	s.health.Notice = fmt.Sprintf("%d refused, the last at %s: %s", s.health.Refused, place, reason)
	s.log.Warn("an event was refused", "place", place, "reason", reason)
}
