package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// Changes and events about few items, in random order and some of them repeated, have the same result in one batch as
// one by one.
func TestBatchEqualsOneByOne(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		together, apart := newBench(t), newBench(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		for range 3 {
			changes, events := someChanges(rnd), someEvents(rnd)
			together.append(changes...)
			together.take(watch.SourceFiles, events...)
			for _, c := range changes {
				apart.append(c)
			}
			for _, e := range events {
				apart.take(watch.SourceFiles, e)
			}
		}
		if diff := cmp.Diff(apart.stored(), together.stored(), cmpopts.IgnoreFields(store.Item{}, "At"),
			cmpopts.IgnoreFields(store.Change{}, "At")); diff != "" {
			t.Fatalf("seed %d (-one by one +in a batch):\n%s", seed, diff)
		}
	}
}

func someChanges(rnd *rand.Rand) (out []watch.Change) {
	for range 30 {
		n := rnd.IntN(1000)
		c := watch.Change{
			Key: fmt.Sprint(n), Op: watch.OpLabel, Item: fmt.Sprint(rnd.IntN(6)),
			New: watch.Labels{"label": fmt.Sprint(rnd.IntN(3))},
		}
		switch rnd.IntN(4) {
		case 0:
			c.Op, c.New = watch.OpDelete, nil
		case 1:
			c.Op, c.Text = watch.OpPut, map[string]string{"text": fmt.Sprint("text ", rnd.IntN(4))}
		}
		if out = append(out, c); rnd.IntN(5) == 0 {
			out = append(out, c)
		}
	}
	return out
}

func someEvents(rnd *rand.Rand) (out []watch.Event) {
	for range 30 {
		item, said := fmt.Sprint(rnd.IntN(9)), fmt.Sprint(rnd.IntN(3))
		e := label(item, said)
		switch rnd.IntN(5) {
		case 0:
			e = watch.Event{Item: item, Delete: true}
		case 1:
			e = brought(item, fmt.Sprint("event ", rnd.IntN(4)), said)
		}
		e.Key = fmt.Sprint("e", rnd.IntN(1000))
		out = append(out, e)
	}
	return out
}

func (b *bench) append(changes ...watch.Change) {
	b.t.Helper()
	if err := b.w.Append(context.Background(), watch.SourcePostgres, changes, "position"); err != nil {
		b.t.Fatal(err)
	}
}

type stored struct {
	Items   []store.Item
	Changes []store.Change
	Info    string
}

func (b *bench) stored() (out stored) {
	b.t.Helper()
	err := b.w.store.View(context.Background(), func(t *store.Tx) error {
		for it, err := range t.Items("m") {
			if err != nil {
				return err
			}
			out.Items = append(out.Items, it)
		}
		row, err := t.Model("m")
		if err != nil {
			return err
		}
		out.Info = row.Info
		out.Changes, err = t.Changes("m", 0, 1e6)
		for i := range out.Changes {
			if strings.HasPrefix(out.Changes[i].Key, "event:") {
				out.Changes[i].Key = "event:" // the key of a buffered label is different each time
			}
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// A view may return a row twice: each full read uses the first one.
func TestTableWithARowTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 2 {
		err := b.w.Replace(context.Background(), watch.SourcePostgres,
			watch.FullRead{MaxGone: 1, Cursor: "position", Items: func(yield func(watch.Item, error) bool) {
				for _, label := range []string{"a", "b"} {
					if !yield(watch.Item{ID: "1", Text: map[string]string{"text": "one"}, Labels: watch.Labels{"label": label}}, nil) {
						return
					}
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		b.holds(map[string]string{"1": "a of table"})
	}
	if n := len(b.stored().Changes); n != 1 {
		t.Errorf("%d changes, of a table that did not change", n)
	}
}
