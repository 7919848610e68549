package natssource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// follow runs a source with the inbox until the test ends.
func (w *wire) follow(inbox watch.Inbox) {
	w.t.Helper()
	w.cfg.MaxDeliver = 2
	w.src = New("m", w.cfg, w.server.Connect(), true, labelevent.NewDecoder(w.cfg.Mapping, watchtest.OneTarget(), nil),
		inbox, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.src.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	w.up()
}

// full is an Inbox on a full disk: batches with events fail, and the smaller ones without events are stored.
type full struct {
	watch.Inbox
	failures atomic.Int64
}

func (f *full) Take(ctx context.Context, b watch.Batch) (watch.Receipt, error) {
	if len(b.Events) == 0 {
		return f.Inbox.Take(ctx, b)
	}
	f.failures.Add(1)
	return watch.Receipt{}, &watch.Fault{Cause: "the disk is full", Store: true}
}

// After a fault of the store no message is sent to the dead letters, even if the store still takes small writes.
func TestNATSFaultOfTheStoreRefusesNoMessage(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	inbox := &full{Inbox: w.inbox}
	w.follow(inbox)
	w.publish(watchtest.Line(1, "a"))
	w.staysRefused(func() bool { return inbox.failures.Load() >= 8 })
}

// staysRefused retries until enough returns true. It checks that the source is down by then because of the full disk,
// and that no message was sent to the dead letters.
func (w *wire) staysRefused(enough func() bool) {
	w.t.Helper()
	waittest.EventuallyNil(w.t, func() error {
		h := w.src.Health()
		if h.Refused > 0 {
			w.t.Fatalf("the event was refused: %+v", h)
		}
		w.src.Retry()
		if !enough() || h.Up || !strings.Contains(h.Error, "the disk is full") {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

// TestNATSFullDisk: with a real store on a full disk, on which small writes still succeed, a large event stays in the
// stream, and is stored when there is space again.
func TestNATSFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); errors.Is(err, syscall.EPERM) {
		t.Skip("this container may not mount: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	st, err := store.Open(t.Context(), filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	log := slog.New(slog.DiscardHandler)
	split := drift.NewSplit(drift.HeldoutConfig{Share: 0.5}, []byte("salt"), nil)
	w := newWire(t)
	w.follow(ingest.NewWriter(st, "m", watchtest.OneTarget(), split, log))
	fill := filepath.Join(dir, "fill")
	leave(t, dir, fill, 160<<10)
	w.publish(fmt.Sprintf(`{"id": 1, "text": %q, "label": "a"}`, strings.Repeat("x", 600_000)))
	tries := 0
	w.staysRefused(func() bool { tries++; return tries > 30 })
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	waittest.EventuallyNil(t, func() error {
		w.src.Retry()
		err := st.View(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Item("m", "1")
			return err
		})
		if h := w.src.Health(); err != nil || h.Refused > 0 {
			return fmt.Errorf("%w: %+v", err, h)
		}
		return nil
	})
	w.up()
}

// leave writes a file that leaves the given number of free bytes.
func leave(t *testing.T, dir, path string, free uint64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, fs.Bavail*uint64(fs.Bsize)-free), 0o600); err != nil {
		t.Fatal(err)
	}
}

// While the store is faulty, a message with a refused event is sent to the dead letters once, not at each attempt.
func TestNATSOneDeadLetterWhileTheStoreIsFaulty(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	inbox := &full{Inbox: w.inbox}
	w.follow(inbox)
	w.publish(`[{"id": 1, "label": "a"}, {"id": 2}]`)
	waittest.EventuallyNil(t, func() error {
		if n := inbox.failures.Load(); n < 8 {
			w.src.Retry()
			return fmt.Errorf("%d attempts", n)
		}
		return nil
	})
	if h := w.src.Health(); h.Refused != 1 {
		t.Errorf("one message was refused %d times: %s", h.Refused, h.Notice)
	}
}

// An error of the store is not reported as one of NATS.
func TestNATSErrorOfTheStore(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.inbox.SetFail(errors.New("no room"))
	w.start()
	w.publishWhenThere(watchtest.Line(1, "a"))
	waittest.EventuallyNil(t, func() error {
		if h := w.src.Health(); h.Error != "store label changes: no room" {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

// publishWhenThere publishes a message once the source has created the stream.
func (w *wire) publishWhenThere(body string) {
	w.t.Helper()
	waittest.EventuallyNil(w.t, func() error {
		_, err := w.js.Publish(w.t.Context(), w.cfg.Subject, []byte(body))
		return err
	})
}
