package refusals_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/retraind/retraind/internal/refusals"
)

// logged is a log that is read while it is written.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestSeriesLogsItsChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out logged
		counted := 0
		s := refusals.New("full", func() { counted++ }, slog.New(slog.NewTextHandler(&out, nil)))
		lines := func() int { return strings.Count(out.String(), "\n") }

		for range 1000 {
			s.Refused("peer", "uid 1000")
			time.Sleep(time.Second)
		}
		if counted != 1000 || lines() != 1 || !strings.Contains(out.String(), `msg=full peer="uid 1000"`) {
			t.Errorf("counted %d, logged %s", counted, out.String())
		}
		time.Sleep(refusals.Quiet)
		synctest.Wait()
		if lines() != 2 || !strings.Contains(out.String(), `msg="full (ended)" refused=1000`) {
			t.Errorf("logged %s", out.String())
		}
		s.Refused()
		if lines() != 3 {
			t.Errorf("a new series is not logged: %s", out.String())
		}
		time.Sleep(refusals.Quiet)
		synctest.Wait()
	})
}
