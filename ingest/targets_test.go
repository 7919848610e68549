package ingest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// TestTableChangesOneTarget: a change of the table, seen by a capture or by a full read, replaces only the labels of the
// targets that it changes. An event's labels of the other targets stay.
func TestTableChangesOneTarget(t *testing.T) {
	t.Parallel()
	type labels = watch.Labels
	not, invalid := serving.NotLabelled, serving.InvalidLabel("urgent")
	for name, c := range map[string]struct {
		before labels
		event  watch.Event
		after  labels
		want   labels
	}{
		"another target changes": {
			labels{"label": "sport", "tone": "calm"},
			label("1", "politik"),
			labels{"label": "sport", "tone": "angry"},
			labels{"label": "politik", "tone": "angry"},
		},
		"the event's target changes": {
			labels{"label": "sport", "tone": "calm"},
			label("1", "politik"),
			labels{"label": "geld", "tone": "calm"},
			labels{"label": "geld", "tone": "calm"},
		},
		"both change": {
			labels{"label": "sport", "tone": "calm"},
			label("1", "politik"),
			labels{"label": "geld", "tone": "angry"},
			labels{"label": "geld", "tone": "angry"},
		},
		"another label appears": {
			labels{}, label("1", "politik"), labels{"tone": "calm"}, labels{"label": "politik", "tone": "calm"},
		},
		"another label disappears": {
			labels{"label": "sport", "tone": "calm"}, label("1", "politik"), labels{"label": "sport"}, labels{"label": "politik"},
		},
		"the event's label disappears from the table": {
			labels{"label": "sport", "tone": "calm"}, label("1", "politik"), labels{"tone": "calm"}, labels{"tone": "calm"},
		},
		"a removed label stays removed": {
			labels{"label": "sport", "tone": "calm"},
			watch.Event{Item: "1", Unset: []string{"label"}},
			labels{"label": "sport", "tone": "angry"},
			labels{"tone": "angry"},
		},
		"an invalid label that an event corrected": {
			labels{"label": "sport", "urgent": "maybe"},
			watch.Event{Item: "1", Labels: labels{"urgent": "true"}},
			labels{"label": "geld", "urgent": "perhaps"},
			labels{"label": "geld", "urgent": "true"},
		},
		"another label becomes invalid": {
			labels{"label": "sport", "urgent": "true"},
			label("1", "politik"),
			labels{"label": "sport", "urgent": "maybe"},
			labels{"label": "politik", invalid: ""},
		},
		"an invalid label becomes null": {
			labels{"urgent": "maybe"}, watch.Event{Item: "1", Labels: labels{"urgent": "true"}}, labels{}, labels{},
		},
		"an excluded row": {
			labels{not: "", "label": "guess"},
			label("1", "politik"),
			labels{not: "", "label": "another guess"},
			labels{not: "", "label": "politik"},
		},
		"an excluded row is labelled": {
			labels{not: "", "label": "guess"}, label("1", "politik"), labels{"label": "guess"}, labels{"label": "guess"},
		},
		"the null of a row is labelled": {
			labels{not: ""},
			watch.Event{Item: "1", Labels: labels{"urgent": "true", "tone": "calm"}},
			labels{},
			labels{"tone": "calm"},
		},
		"a row becomes excluded": {
			labels{"label": "sport"},
			watch.Event{Item: "1", Labels: labels{"label": "politik", "tone": "calm"}},
			labels{not: "", "label": "sport"},
			labels{not: "", "tone": "calm"},
		},
	} {
		for _, full := range []bool{false, true} {
			b := newBench(t)
			split := drift.NewSplit(drift.HeldoutConfig{Share: 0.5}, []byte("salt"), nil)
			b.w = NewWriter(b.w.store, "m", []serving.Target{
				{Name: "label"}, {Name: "tone"}, {Name: "urgent", Kind: serving.KindBool, Null: "false"},
			}, split, slog.New(slog.DiscardHandler))
			b.row(c.before, true)
			b.take(watch.SourceNATS, c.event)
			b.row(c.before, true) // unchanged
			b.row(c.after, full)
			if diff := cmp.Diff(map[string]string(c.want), b.labels("1")); diff != "" {
				t.Errorf("%s, full read %t (-want +got):\n%s", name, full, diff)
			}
			b.take(watch.SourceNATS, watch.Event{Item: "1", Delete: true}) // only the table's labels remain
			own, _ := serving.CanonicalLabels(b.w.targets, c.after)
			if diff := cmp.Diff(own, b.labels("1")); diff != "" {
				t.Errorf("%s, full read %t, without events (-want +got):\n%s", name, full, diff)
			}
		}
	}
}

// row sets the labels of row 1 of the table, by a full read or by a change.
func (b *bench) row(labels watch.Labels, full bool) {
	b.t.Helper()
	text := map[string]string{"text": "table 1"}
	var err error
	if full {
		err = b.w.Replace(context.Background(), watch.SourcePostgres,
			watch.FullRead{MaxGone: 1, Cursor: "position", Items: func(yield func(watch.Item, error) bool) {
				yield(watch.Item{ID: "1", Text: text, Labels: labels}, nil)
			}})
	} else {
		err = b.w.Append(context.Background(), watch.SourcePostgres,
			[]watch.Change{{Key: "1", Op: watch.OpLabel, Item: "1", New: labels}}, "position")
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// labels returns the stored labels of an item.
func (b *bench) labels(id string) (labels map[string]string) {
	b.t.Helper()
	if err := b.w.store.View(context.Background(), func(tx *store.Tx) error {
		it, err := tx.Item("m", id)
		labels = it.Labels
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return labels
}
