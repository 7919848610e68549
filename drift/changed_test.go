package drift_test

import (
	"slices"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
)

// changes returns a Monitor of ten items, five of them held out, all labelled a before the training.
func changes(t *testing.T) *bench {
	t.Helper()
	b := &bench{Monitor: drift.NewMonitor(drift.Options{}), seq: 10}
	var items []drift.LabelChange
	for i := range 10 {
		id := string(rune('a' + i))
		items = append(items, drift.LabelChange{
			Item: id, Heldout: i < 5, TextHash: hash(id), New: label("a"), At: noon, Seq: int64(i + 1),
		})
	}
	b.Reset(drift.Release{Digest: "d", TrainedSeq: b.seq, BaselineSeq: b.seq}, slices.Values(items))
	return b
}

// A label that was changed back equals the training data: it does not count as changed.
func TestLabelsThatWerePutBackAreNotChanged(t *testing.T) {
	t.Parallel()
	b := changes(t)
	changed := func(want, own int) {
		t.Helper()
		l := b.Report(noon).Labels
		if l.Changed != want || l.Own != own {
			t.Errorf("%d changed and %d by retraind, want %d and %d", l.Changed, l.Own, want, own)
		}
		if err := b.Audit(); err != nil {
			t.Error(err)
		}
	}
	byOwn := func(id, to string) {
		b.seq++
		b.Label(drift.LabelChange{Item: id, Old: nil, New: label(to), Own: true, At: noon, Seq: b.seq})
	}
	b.relabel("a", "b", "ann")
	b.relabel("g", "b", "ann")
	changed(2, 0)
	b.relabel("a", "c", "ann")
	changed(2, 0)
	b.relabel("a", "a", "ben")
	changed(1, 0)
	byOwn("g", "a")
	changed(0, 0)
	byOwn("h", "b")
	changed(0, 1)
	byOwn("h", "a")
	changed(0, 0)
	b.relabel("h", "b", "ann")
	changed(1, 0)
	b.arrive("new", "a", "")
	changed(2, 0)
	b.seq++ // a text that was not in the training data
	b.Put(drift.LabelChange{Item: "i", TextHash: hash("other"), New: label("a"), Old: label("a"), At: noon, Seq: b.seq})
	changed(3, 0)
	b.relabel("h", "a", "ann")
	b.Delete("i", b.seq+1)
	changed(1, 0)
	b.seq += 2
	b.Put(drift.LabelChange{Item: "i", TextHash: hash("i"), New: label("a"), Inserted: true, At: noon, Seq: b.seq})
	changed(2, 0)
}

// After a restart the labels of the training come from the store.
func TestRestartKnowsWhatWasPutBack(t *testing.T) {
	t.Parallel()
	m := drift.NewMonitor(drift.Options{})
	m.Reset(drift.Release{Digest: "d", TrainedSeq: 10}, slices.Values([]drift.LabelChange{
		{Item: "same", New: label("a"), Seq: 3},
		{Item: "back", New: label("a"), Trained: label("a"), Seq: 12},
		{Item: "other", New: label("b"), Trained: label("a"), Seq: 13},
		{Item: "new", New: label("a"), Seq: 14},
		{Item: "own", New: label("b"), Trained: label("a"), Own: true, Seq: 15},
	}))
	if l := m.Report(noon).Labels; l.Changed != 2 || l.Own != 1 {
		t.Errorf("%+v", l)
	}
	// Changes that are already in the figures are given again, for the sequential tests.
	m.Label(drift.LabelChange{Item: "back", Old: label("a"), New: label("b"), Seq: 11})
	m.Label(drift.LabelChange{Item: "back", Old: label("b"), New: label("a"), Seq: 12})
	m.Label(drift.LabelChange{Item: "other", Old: label("c"), New: label("b"), Seq: 13})
	if l := m.Report(noon).Labels; l.Changed != 2 || l.Own != 1 {
		t.Errorf("after the replay: %+v", l)
	}
	if err := m.Audit(); err != nil {
		t.Error(err)
	}
}

// The labels of the first read do not count as labels that arrived on that day.
func TestFirstReadIsNoRate(t *testing.T) {
	t.Parallel()
	for day, want := range map[int][2]float64{0: {0, 0}, 1: {4, 1}, 2: {4, 2}, 10: {4, 10}, 30: {4, 30}, 40: {4, 30}} {
		b := changes(t)
		for d := 1; d <= day; d++ {
			for range 4 {
				b.seq++
				b.Put(drift.LabelChange{
					Item: time.Duration(b.seq).String(), Heldout: true, TextHash: hash("x"), New: label("a"), Inserted: true,
					At: noon.AddDate(0, 0, d), Seq: b.seq,
				})
			}
		}
		if l := b.Report(noon.AddDate(0, 0, day)).Labels; l.Rate != want[0] || l.RateDays != int(want[1]) {
			t.Errorf("on day %d: %v a day over %d days, want %v", day, l.Rate, l.RateDays, want)
		}
	}
}
