package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
	"github.com/retraind/retraind/watch/labelfiles"
)

// TestCorrectionsSurviveWhateverBecomesOfAFile: a label file has two events about an item, and another source then
// corrects the item. Nothing that happens to the file undoes the correction.
func TestCorrectionsSurviveWhateverBecomesOfAFile(t *testing.T) {
	t.Parallel()
	const lines = `{"id": "1", "text": "one", "label": "sport"}` + "\n" + `{"id": "1", "label": "politik"}` + "\n"
	const more = `{"id": "2", "text": "two", "label": "sport"}` + "\n"
	for name, happens := range map[string]func(b *bench, dir string) error{
		"it grows": func(_ *bench, dir string) error { return write(filepath.Join(dir, "l.jsonl"), lines+more) },
		"it is replaced": func(_ *bench, dir string) error {
			if err := write(filepath.Join(dir, ".l"), more+lines); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, ".l"), filepath.Join(dir, "l.jsonl"))
		},
		"it is truncated and rewritten": func(_ *bench, dir string) error {
			if err := write(filepath.Join(dir, "l.jsonl"), ""); err != nil {
				return err
			}
			return write(filepath.Join(dir, "l.jsonl"), more+lines)
		},
		"it is rotated": func(_ *bench, dir string) error {
			if err := os.Rename(filepath.Join(dir, "l.jsonl"), filepath.Join(dir, "l.1.jsonl")); err != nil {
				return err
			}
			return write(filepath.Join(dir, "l.jsonl"), more)
		},
		"it is renamed, and replaced": func(b *bench, dir string) error {
			if err := os.Rename(filepath.Join(dir, "l.jsonl"), filepath.Join(dir, "m.jsonl")); err != nil {
				return err
			}
			b.follows("m.jsonl")
			if err := write(filepath.Join(dir, ".m"), more+lines); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, ".m"), filepath.Join(dir, "m.jsonl"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, dir := newBench(t), t.TempDir()
			if err := write(filepath.Join(dir, "l.jsonl"), lines); err != nil {
				t.Fatal(err)
			}
			cfg := &labelfiles.Config{Dir: dir, Poll: unit.Duration(20 * time.Millisecond)}
			src := labelfiles.New("m", cfg, labelevent.NewDecoder(cfg.Mapping, watchtest.OneTarget(), nil), b.w, nil,
				slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); _ = src.Run(ctx) }()
			t.Cleanup(func() { cancel(); <-done })
			b.comes("1", "politik")
			b.take(watch.SourceHTTP, label("1", "wetter"))
			if err := happens(b, dir); err != nil {
				t.Fatal(err)
			}
			b.comes("2", "sport")
			b.comes("1", "wetter")
			b.take(watch.SourceHTTP, watch.Event{Item: "2", Delete: true})
			b.holds(map[string]string{"1": "wetter of files"})
		})
	}
}

// comes waits until an item has a label.
func (b *bench) comes(item, want string) {
	b.t.Helper()
	waittest.EventuallyNil(b.t, func() error {
		return b.w.store.View(context.Background(), func(t *store.Tx) error {
			it, err := t.Item("m", item)
			if err == nil && it.Labels["label"] != want {
				err = fmt.Errorf("item %s: %v, want %s", item, it.Labels, want)
			}
			return err
		})
	})
}

// follows waits until a position is stored for a file.
func (b *bench) follows(name string) {
	b.t.Helper()
	waittest.EventuallyNil(b.t, func() error {
		marks, err := b.w.Marks(context.Background(), watch.SourceFiles)
		if err == nil && marks[name] == "" {
			err = fmt.Errorf("positions %v", marks)
		}
		return err
	})
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
