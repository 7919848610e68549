package refusals_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/retraind/retraind/internal/refusals"
)

func TestSeriesLogsItsChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
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
		if lines() != 2 || !strings.Contains(out.String(), `msg="full: over" refused=1000`) {
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
