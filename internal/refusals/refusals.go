// Package refusals counts refusals at a limit. It logs only the first refusal of a series and the end of the series.
//
// It determines when a Series begins and ends. A Series is safe for concurrent use. The package never refuses
// anything: the caller applies the limit.
package refusals

import (
	"log/slog"
	"sync"
	"time"
)

// Quiet is the time without a refusal after which a series has ended.
const Quiet = time.Minute

// Series counts the refusals of one kind.
type Series struct {
	what  string
	log   *slog.Logger
	count func() // called for each refusal; may be nil

	mu   sync.Mutex // guards the fields below
	n    int        // refusals in the present series, 0 if there is none
	last time.Time  // of the latest refusal
}

// New returns a Series; `what` is its log message, for example "connections refused at the limit".
func New(what string, count func(), log *slog.Logger) *Series {
	return &Series{what: what, count: count, log: log}
}

// Refused counts one refusal. The first of a series is logged, with the attributes.
func (s *Series) Refused(attrs ...any) {
	if s.count != nil {
		s.count()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.last = time.Now()
	if s.n > 1 {
		return
	}
	s.log.Warn(s.what, attrs...)
	time.AfterFunc(Quiet, s.end)
}

// end ends the series, or waits again if there was a refusal meanwhile.
func (s *Series) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rest := Quiet - time.Since(s.last); rest > 0 {
		time.AfterFunc(rest, s.end)
		return
	}
	s.log.Info(s.what+" (ended)", "refused", s.n)
	s.n = 0
}
