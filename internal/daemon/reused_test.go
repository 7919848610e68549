package daemon_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// counted contains figures that are counted directly from the items and answers in the store.
type counted struct {
	heldOut, leaked, scored, correct int
}

// recount counts the figures, without the items whose ids are in trained: the release was trained on these.
func (w *world) recount(trained map[string]bool) (c counted) {
	w.t.Helper()
	w.read(func(t *store.Tx) error {
		row, err := t.Model(model)
		if err != nil {
			return err
		}
		answers := map[[2]string]string{}
		if err := t.Predictions(model, row.Champion,
			func(p store.Prediction) { answers[[2]string{p.Item, p.TextHash}] = p.Answers["label"] }); err != nil {
			return err
		}
		for it, err := range t.Items(model) {
			switch answer, ok := answers[[2]string{it.ID, it.TextHash}]; {
			case err != nil:
				return err
			case !it.Heldout:
			case trained[it.ID]:
				c.leaked++
			default:
				c.heldOut++
				if ok {
					c.scored++
				}
				if ok && answer == it.Labels["label"] {
					c.correct++
				}
			}
		}
		return nil
	})
	return c
}

// An id that is reused with another text is another item: the old answer and the old label do not count for the new
// text. When the old text returns, so does its state.
func TestReusedIDs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.start()
	r.first()
	trained, before := map[string]bool{}, map[string]store.Item{}
	var heldOut []string
	w.read(func(tx *store.Tx) error {
		for it, err := range tx.Items(model) {
			if err != nil {
				return err
			}
			before[it.ID] = it
			if it.Heldout {
				heldOut = append(heldOut, it.ID)
			} else {
				trained[it.ID] = true
			}
		}
		return nil
	})
	judged := func(what string) {
		t.Helper()
		m := r.model(what, func(m status.Model) bool {
			var last int64
			w.read(func(tx *store.Tx) (err error) { last, err = tx.LastChange(model); return err })
			return m.Report.Seq == last && m.Report.State == drift.StateOK && m.Report.Labels.Items == items
		})
		got := counted{m.Report.HeldOut, m.Report.Leaked, m.Report.Scored, m.Report.Correct}
		if want := w.recount(trained); got != want || got.scored != got.heldOut {
			t.Errorf("%s: %+v, counted by hand %+v", what, got, want)
		}
	}
	judged("the first figures")
	sides := map[bool]int{}
	reuse := func(id string, n int, apart bool) {
		t.Helper()
		gone, back := fmt.Sprintf("delete from items where id = '%s'", id),
			fmt.Sprintf("insert into items values ('%s', '%s', 'geld')", id, text("sport", 7000+n))
		if apart {
			w.sql(gone, back)
			return
		}
		w.sql("begin; " + gone + "; " + back + "; commit")
	}
	for n := range 12 {
		reuse(heldOut[n], n, n%2 == 0)
	}
	for n := range 12 {
		reuse(fmt.Sprint(firstOf(trained, n)), 100+n, n%2 == 0)
	}
	waittest.EventuallyHolds(t, "the other texts", func() (bool, error) {
		changed := 0
		clear(sides)
		w.read(func(tx *store.Tx) error {
			for it, err := range tx.Items(model) {
				if err != nil {
					return err
				}
				if it.TextHash != before[it.ID].TextHash {
					changed++
					sides[it.Heldout]++
				}
			}
			return nil
		})
		return changed == 24, fmt.Errorf("%d", changed)
	})
	judged("other texts under the same ids")
	if sides[true] == 0 || sides[false] == 0 {
		t.Errorf("by side: %v", sides)
	}
	id := heldOut[0]
	n, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal(err)
	}
	w.sql(fmt.Sprintf("update items set content = '%s', category = '%s' where id = '%s'",
		text(before[id].Labels["label"], n), before[id].Labels["label"], id))
	waittest.EventuallyHolds(t, "the first text again", func() (same bool, err error) {
		w.read(func(tx *store.Tx) error {
			it, err := tx.Item(model, id)
			same = it.TextHash == before[id].TextHash
			return err
		})
		return same, nil
	})
	judged("the first text under its id again")
}

// firstOf returns the number of the n-th item whose id is in ids, counted from 0, or -1 if there are fewer.
func firstOf(ids map[string]bool, n int) int {
	for i := range items {
		if ids[fmt.Sprint(i)] {
			if n == 0 {
				return i
			}
			n--
		}
	}
	return -1
}
