package drift

import (
	"slices"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
)

// A wrong counter is detected, by the Monitor's own audit or by comparison with another Monitor.
func TestAuditFindsEachFault(t *testing.T) {
	t.Parallel()
	build := func() *Monitor {
		m := NewMonitor(Options{Model: "m"})
		items := []LabelChange{}
		for i, l := range []string{"a", "a", "b", "c", "a", "b"} {
			items = append(items, LabelChange{
				Item: string(rune('0' + i)), Heldout: i < 4, TextHash: "h",
				New: map[string]string{"label": l}, Seq: int64(i + 1),
			})
		}
		m.Reset(Release{Digest: "d"}, slices.Values(items))
		m.Answer("0", "h", serving.Answers{"label": "a"})
		m.Answer("1", "h", serving.Answers{"label": "b"})
		m.Answer("2", "h", serving.Answers{"label": "b"})
		return m
	}
	if m := build(); m.Audit() != nil || m.Compare(build()) != nil {
		t.Fatalf("nothing is wrong: %v, %v", m.Audit(), m.Compare(build()))
	}
	for name, spoil := range map[string]func(*Monitor){
		"correct":         func(m *Monitor) { m.confusions[0].correct++ },
		"scored":          func(m *Monitor) { m.confusions[0].n++ },
		"support":         func(m *Monitor) { m.confusions[0].tallies[0].support-- },
		"confusion":       func(m *Monitor) { m.confusions[0].pairs[[2]int32{0, 0}]++ },
		"labelled":        func(m *Monitor) { m.counts.labelled++ },
		"held out":        func(m *Monitor) { m.counts.heldOut-- },
		"mix":             func(m *Monitor) { m.mix[0]++ },
		"waiting answers": func(m *Monitor) { clear(m.unscored) },
		"index":           func(m *Monitor) { delete(m.slots, "3") },
	} {
		m := build()
		spoil(m)
		if err := m.Audit(); err == nil || !strings.HasPrefix(err.Error(), "audit m: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*Monitor){
		"a label that the counters did not see": func(m *Monitor) {
			m.Label(LabelChange{
				Item: "2",
				New:  map[string]string{"label": "c"},
			})
		},
		"an answer that they did not see":    func(m *Monitor) { m.Answer("2", "h", serving.Answers{"label": "c"}) },
		"the same counts, another confusion": func(m *Monitor) { m.confusions[0].pairs[[2]int32{0, 2}]++ },
		"an item outside the held-out set": func(m *Monitor) {
			m.Label(LabelChange{
				Item: "4",
				New:  map[string]string{"label": "c"},
			})
		},
		"an item that is gone": func(m *Monitor) { m.Delete("3", 9) },
		"another text of an item without answers": func(m *Monitor) {
			m.Put(LabelChange{Item: "3", Heldout: true, TextHash: "x", New: map[string]string{"label": "c"}})
		},
		"another release": func(m *Monitor) { m.release.Digest = "e" },
	} {
		m := build()
		spoil(m)
		if err := m.Compare(build()); err == nil || !strings.Contains(err.Error(), "from the store") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
