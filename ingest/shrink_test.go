package ingest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/retraind/retraind/watch"
)

// TestShrink: a full read with too many missing items stores nothing until a person accepts it. Accepting applies to
// one read only.
func TestShrink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	read := func(rows int) error {
		return b.w.Replace(t.Context(), watch.SourcePostgres,
			watch.FullRead{Cursor: fmt.Sprint(rows), MaxGone: 0.2, Items: func(yield func(watch.Item, error) bool) {
				for i := range rows {
					if !yield(watch.Item{ID: fmt.Sprint(i), Text: map[string]string{"text": "x"}, Labels: watch.Labels{"label": "a"}},
						nil) {
						return
					}
				}
			}})
	}
	refused := func(rows int) {
		t.Helper()
		var shrunk *watch.ShrinkError
		if err := read(rows); !errors.As(err, &shrunk) {
			t.Fatalf("a read of %d rows: %v", rows, err)
		}
	}
	believed := func(rows int) {
		t.Helper()
		if err := read(rows); err != nil {
			t.Fatalf("a read of %d rows: %v", rows, err)
		}
		cursor, err := b.w.Cursor(t.Context(), watch.SourcePostgres)
		if n := len(b.stored().Items); n != rows || cursor != fmt.Sprint(rows) {
			t.Errorf("%d items at %s, want %d (%v)", n, cursor, rows, err)
		}
	}
	believed(100)
	believed(80) // a fifth is missing
	refused(63)
	if b.w.AcceptShrink(); len(b.stored().Items) != 80 {
		t.Error("a refused read has deleted items")
	}
	believed(0)
	if b.w.AcceptShrink() {
		t.Error("no read waits to be accepted")
	}
	believed(50)
	refused(30)
	believed(50) // the rows are back
	if b.w.AcceptShrink() {
		t.Error("no read waits to be accepted")
	}
	believed(41) // fewer rows than shrinkLeast are missing
}
