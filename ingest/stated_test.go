package ingest

import (
	"testing"
	"time"

	"github.com/retraind/retraind/watch"
)

// noon is the sender's time in an event from the function by with minute 0.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// by returns e as an event about the annotation in subject. Its sender's time is the given number of minutes after
// noon.
func by(subject string, minute int, e watch.Event) watch.Event {
	e.At, e.Ordered, e.Subject = noon.Add(time.Duration(minute)*time.Minute), true, subject
	if e.Item != "" {
		e.Alias = "task " + e.Item
	}
	return e
}

// TestWebhooksOutOfOrder: the newest event wins, in any order of arrival.
func TestWebhooksOutOfOrder(t *testing.T) {
	t.Parallel()
	withdrawn := watch.Event{Withdrawn: true}
	gone := watch.Event{Delete: true, Item: "1"}
	for name, c := range map[string]struct {
		events []watch.Event
		want   map[string]string
		older  int
	}{
		"an older update": {
			[]watch.Event{by("a", 2, label("1", "politik")), by("a", 1, label("1", "sport"))},
			map[string]string{"1": "politik of http"},
			1,
		},
		"two annotations": {
			[]watch.Event{by("b", 2, label("1", "politik")), by("a", 1, label("1", "sport"))},
			map[string]string{"1": "politik of http"},
			1,
		},
		"the same time": {
			[]watch.Event{by("a", 1, label("1", "politik")), by("a", 1, label("1", "sport"))},
			map[string]string{"1": "sport of http"},
			0,
		},
		"withdrawn": {
			[]watch.Event{by("a", 1, label("1", "sport")), by("a", 2, withdrawn)},
			map[string]string{"1": " of http"},
			0,
		},
		"withdrawn before it was said": {
			[]watch.Event{by("a", 2, withdrawn), by("a", 1, label("1", "sport"))},
			map[string]string{"1": "first of http"},
			1,
		},
		"withdrawn and said again": {
			[]watch.Event{by("a", 1, label("1", "sport")), by("a", 2, withdrawn), by("a", 3, label("1", "sport"))},
			map[string]string{"1": "sport of http"},
			0,
		},
		"another annotation is withdrawn": {
			[]watch.Event{by("a", 1, label("1", "sport")), by("b", 2, label("1", "politik")), by("a", 3, withdrawn)},
			map[string]string{"1": "politik of http"},
			0,
		},
		"a target that the newer version leaves out": {
			[]watch.Event{
				by("a", 1, label("1", "sport")),
				by("a", 2, watch.Event{Item: "1", Labels: watch.Labels{"tone": "warm"}}),
			},
			map[string]string{"1": " of http"},
			0,
		},
		"deleted before it was said": {
			[]watch.Event{by("", 2, gone), by("a", 1, brought("1", "late", "sport"))},
			map[string]string{},
			1,
		},
		"deleted by the tool's own name": {
			[]watch.Event{by("a", 1, brought("ext", "text", "sport")), {Delete: true, Alias: "task ext", At: noon}},
			map[string]string{"1": "first of http"},
			0,
		},
		"a text that is older": {
			[]watch.Event{by("a", 2, brought("2", "new", "x")), by("", 1, watch.Event{Item: "2", Text: map[string]string{"text": "old"}})},
			map[string]string{"1": "first of http", "2": "x of http"},
			1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.take(watch.SourceHTTP, brought("1", "a text", "first"))
			older := 0
			for _, e := range c.events {
				older += b.take(watch.SourceHTTP, e).Older
			}
			b.holds(c.want)
			if older != c.older {
				t.Errorf("%d older ones, want %d", older, c.older)
			}
		})
	}
}

// TestTakenBackLeavesCorrectionsAlone: withdrawing an annotation does not remove a label that another sender gave
// in the meantime.
func TestTakenBackLeavesCorrectionsAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.take(watch.SourceHTTP, brought("1", "a text", "first"), by("a", 1, label("1", "sport")))
	b.take(watch.SourceNATS, label("1", "wetter"))
	b.take(watch.SourceHTTP, by("a", 2, watch.Event{Withdrawn: true}))
	b.holds(map[string]string{"1": "wetter of http"})
	// Times are compared only between events of the same source.
	b.take(watch.SourceHTTP, by("b", 3, label("1", "politik")))
	old := label("1", "geld")
	old.At = noon
	b.take(watch.SourceNATS, old)
	b.holds(map[string]string{"1": "geld of http"})
}
