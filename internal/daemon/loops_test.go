package daemon

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

// The stop event has the cause: the request, or the part of the daemon that failed first.
func TestStopEventHasTheCause(t *testing.T) {
	t.Parallel()
	waits := loop{"waiting", func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	fails := loop{"page", func(context.Context) error { return errors.New("accept: too many open files") }}
	for name, c := range map[string]struct {
		intake, work []loop
		stop         error // cause of a stop while the loops run; nil for none
		want         string
	}{
		"request":      {[]loop{waits}, []loop{waits}, ErrStopped, "asked to stop"},
		"cancelled":    {[]loop{waits}, []loop{waits}, context.Canceled, "asked to stop"},
		"intake fails": {[]loop{waits, fails}, []loop{waits}, nil, "page: accept: too many open files"},
		"work fails":   {[]loop{waits}, []loop{waits, fails}, nil, "page: accept: too many open files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := store.Open(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			hard, end := context.WithCancel(t.Context())
			defer end()
			d := &Daemon{o: Options{Hard: hard}, store: s, log: slog.New(slog.DiscardHandler)}
			s.OnOutbox(end) // nothing publishes the event
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			err = d.runLoops(ctx, c.intake, c.work, func() {
				if c.stop != nil {
					stop(c.stop)
				}
			})
			if (err == nil) != (c.stop != nil) {
				t.Errorf("it returned %v", err)
			}
			if got := causeIn(t, s); got != c.want {
				t.Errorf("the cause is %q, want %q", got, c.want)
			}
		})
	}
}

// causeIn returns the cause in the only event of a store.
func causeIn(t *testing.T, s *store.Store) string {
	t.Helper()
	var all []store.Notification
	if err := s.View(t.Context(), func(tx *store.Tx) (err error) {
		all, err = tx.Notifications(0, 10)
		return err
	}); err != nil || len(all) != 1 {
		t.Fatalf("%d events, %v", len(all), err)
	}
	e, err := notify.Decode(all[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	data, err := notify.Unpack[notify.Stopping](e)
	if err != nil {
		t.Fatal(err)
	}
	return data.Cause
}
