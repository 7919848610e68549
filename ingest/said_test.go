package ingest

import (
	"context"
	"testing"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// TestFileReadAgainUndoesNoCorrection: a file labels an item, another source corrects the label, and the file is read
// again. Only new events of the file, and old ones that follow them, may change the label.
func TestFileReadAgainUndoesNoCorrection(t *testing.T) {
	t.Parallel()
	says := func(l string) watch.Event { return label("1", l) }
	tone := func(topic, tone string) watch.Event {
		e := label("1", topic)
		e.Labels["tone"] = tone
		return e
	}
	unset := watch.Event{Item: "1", Unset: []string{"label"}}
	gone := watch.Event{Item: "1", Delete: true}
	for name, c := range map[string]struct {
		first, corrected, again []watch.Event
		want                    string // "" if the item is deleted
	}{
		"the same": {
			[]watch.Event{says("sport"), says("politik")},
			[]watch.Event{says("wetter")},
			[]watch.Event{says("sport"), says("politik"), label("2", "sport")},
			"wetter of files",
		},
		"in another order": {
			[]watch.Event{says("sport"), says("politik")},
			[]watch.Event{says("wetter")},
			[]watch.Event{says("politik"), says("sport")},
			"wetter of files",
		},
		"a line less": {
			[]watch.Event{says("sport"), says("politik")},
			[]watch.Event{says("wetter")},
			[]watch.Event{says("sport")},
			"wetter of files",
		},
		"said once more": {
			[]watch.Event{says("sport"), says("politik")},
			[]watch.Event{says("wetter")},
			[]watch.Event{says("sport"), says("politik"), says("sport")},
			"sport of files",
		},
		"a new line before the last word": {
			[]watch.Event{says("politik")},
			nil,
			[]watch.Event{says("sport"), says("politik")},
			"politik of files",
		},
		"a new label": {
			[]watch.Event{says("sport")},
			[]watch.Event{says("wetter")},
			[]watch.Event{says("politik")},
			"politik of files",
		},
		"a new label of another target": {
			[]watch.Event{tone("sport", "cold")},
			[]watch.Event{says("wetter")},
			[]watch.Event{tone("sport", "warm")},
			"wetter of files",
		},
		"a new text": {
			[]watch.Event{brought("1", "a text", "sport")},
			[]watch.Event{says("wetter")},
			[]watch.Event{brought("1", "another text", "sport")},
			"wetter of files",
		},
		"a label taken away and given back": {
			[]watch.Event{says("sport"), unset},
			[]watch.Event{says("wetter")},
			[]watch.Event{says("sport"), unset},
			"wetter of files",
		},
		"an item that goes": {
			[]watch.Event{brought("1", "a text", "sport"), gone},
			nil,
			[]watch.Event{brought("1", "a text", "sport"), gone},
			"",
		},
		"an item that reappears": {
			[]watch.Event{brought("1", "a text", "sport"), gone},
			nil,
			[]watch.Event{brought("1", "a text", "sport"), gone, brought("1", "a text", "sport")},
			"sport of files",
		},
		"an item that goes, with another label before": {
			[]watch.Event{brought("1", "a text", "sport"), gone},
			nil,
			[]watch.Event{brought("1", "a text", "politik"), gone},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.take(watch.SourceFiles, brought("1", "a text", ""), brought("2", "a text of 2", ""))
			b.take(watch.SourceFiles, of(0, c.first)...)
			b.take(watch.SourceHTTP, c.corrected...)
			b.take(watch.SourceFiles, of(1, c.again)...)
			b.take(watch.SourceFiles, of(2, c.again)...) // without a new event
			got := ""
			err := b.w.store.View(context.Background(), func(tx *store.Tx) error {
				for it, err := range tx.Items("m") {
					if err != nil {
						return err
					}
					if it.ID == "1" {
						got = it.Labels["label"] + " of " + it.Source
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// of returns copies of the events, marked as those of one pass over a file.
func of(reading int64, events []watch.Event) []watch.Event {
	out := append([]watch.Event(nil), events...)
	for i := range out {
		out[i].File, out[i].Reading, out[i].Again = "l.jsonl", reading, reading > 0
	}
	return out
}

// TestStatementsThatTheFirstVersionKept: for a file that the first version of retraind has read, only the last event
// about an item is stored. That event is still recognised when the file is read again.
func TestStatementsThatTheFirstVersionKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.take(watch.SourceFiles, brought("1", "a text", "politik"))
	last := label("1", "politik")
	err := b.w.store.Update(context.Background(), "as the first version", func(tx *store.Tx) error {
		return tx.Say("m", "l.jsonl", "1", store.Said{Digest: statementDigest(last)})
	})
	if err != nil {
		t.Fatal(err)
	}
	b.take(watch.SourceHTTP, label("1", "wetter"))
	b.take(watch.SourceFiles, of(1, []watch.Event{last})...)
	b.holds(map[string]string{"1": "wetter of files"})
	b.take(watch.SourceFiles, of(2, []watch.Event{label("1", "sport"), last})...)
	b.take(watch.SourceHTTP, label("1", "wetter"))
	b.take(watch.SourceFiles, of(3, []watch.Event{label("1", "sport"), last})...)
	b.holds(map[string]string{"1": "wetter of files"})
}
