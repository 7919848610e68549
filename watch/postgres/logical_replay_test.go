package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/retraind/retraind/watch"
)

// refusing is a sink that refuses one batch of changes.
type refusing struct {
	*memory
	at, calls int
}

func (r *refusing) Append(ctx context.Context, source string, changes []watch.Change, cursor string) error {
	if r.calls++; r.calls == r.at {
		return errors.New("the disk is full")
	}
	return r.memory.Append(ctx, source, changes, cursor)
}

// TestLargeTransactionGoesOnWhereItWasStored: the server sends a transaction again from its beginning. The stored part
// of it is not stored twice.
func TestLargeTransactionGoesOnWhereItWasStored(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c' FROM generate_series(1, 5000) g`)
	sink := &refusing{memory: b.sink, at: 2}
	source, err := New("m", b.cfg, sink, nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = source.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	b.sink.until(t, "the stream", func() bool { return source.Health().Up })
	b.exec(`UPDATE items SET category = 'd'`)
	b.sink.equalsTable(t, "m", b.cfg)
	if n := len(b.sink.log()); n != 5000 || sink.calls < 3 || b.sink.full != 1 {
		t.Errorf("%d changes in %d calls, the whole table was read %d times", n, sink.calls, b.sink.full)
	}
}

// TestWholeTableMeetsTheStream: changes in the log from before the whole-table read are not repeated, and transactions
// that were open then are not missed.
func TestWholeTableMeetsTheStream(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig) // the slot exists from here on
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'a'), (2, 't', 'a')`)
	b.exec(`UPDATE items SET category = 'b' WHERE id = 1`)
	slow, err := connect(t, b.cfg.DSN).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(t.Context(), `UPDATE items SET category = 'open' WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE items SET category = 'c' WHERE id = 1`)
	source, _ := b.start()
	b.sink.until(t, "the stream", func() bool { return source.Health().Up })
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE items SET category = 'd' WHERE id = 1`)
	b.sink.equalsTable(t, "m", b.cfg)
	var got []string
	for _, c := range b.sink.log() {
		got = append(got, c.Item+" "+c.New["label"])
	}
	if len(got) != 2 || got[0] != "2 open" || got[1] != "1 d" {
		t.Errorf("the changes after the read are %q", got)
	}
}
