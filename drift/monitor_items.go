package drift

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/retraind/retraind/serving"
)

// find returns the slot of a known item.
func (m *Monitor) find(id string) (slot int32, known bool) {
	slot, known = m.slots[id]
	return slot, known
}

// slot returns the slot of an item, and allocates it if necessary.
func (m *Monitor) slot(id string) int32 {
	if slot, ok := m.find(id); ok {
		return slot
	}
	var slot int32
	if n := len(m.free); n > 0 {
		slot, m.free = m.free[n-1], m.free[:n-1]
	} else {
		slot = int32(len(m.entries))
		m.entries = append(m.entries, entry{})
		for range m.confusions {
			m.values = append(m.values, value{})
		}
	}
	for t := range m.confusions {
		m.values[m.at(slot, t)] = value{noValue, noValue}
	}
	m.entries[slot] = entry{id: id, used: true}
	m.slots[id] = slot
	return slot
}

func (m *Monitor) at(slot int32, target int) int { return int(slot)*len(m.confusions) + target }

// labelled reports whether an item has a label of the gating target.
func (m *Monitor) labelled(slot int32) bool { return m.values[m.at(slot, 0)].label != noValue }

// fill writes an item into its slot; the caller must have removed the item from the counters.
func (m *Monitor) fill(slot int32, item LabelChange) {
	e := &m.entries[slot]
	hash := packHash(item.TextHash)
	e.heldout, e.seq = item.Heldout, max(e.seq, item.Seq)
	e.leaked = item.Heldout && m.release.TrainedOn != nil && m.release.TrainedOn(item.Item, item.Group)
	for t, b := range m.confusions {
		m.values[m.at(slot, t)].label = b.label(item.New)
	}
	if e.answered && e.hash == hash {
		return
	}
	e.hash, e.answered = hash, false
	if item.Heldout && m.release.Cached != nil {
		if answers, ok := m.release.Cached(item.Item, item.TextHash); ok {
			m.answer(slot, answers)
		}
	}
}

// answer writes answers into an item's slot, and reports whether every target has one.
func (m *Monitor) answer(slot int32, answers serving.Answers) bool {
	for t, b := range m.confusions {
		v, ok := answers[b.target.Name]
		if !ok {
			return false
		}
		m.values[m.at(slot, t)].answer = b.value(v)
	}
	m.entries[slot].answered = true
	return true
}

// take removes an item from every counter, and give adds it again. Between the two calls the item's fields may change.
func (m *Monitor) take(slot int32) { m.count(slot, -1) }
func (m *Monitor) give(slot int32) { m.count(slot, 1) }

func (m *Monitor) count(slot int32, by int) {
	e := &m.entries[slot]
	gate := m.values[m.at(slot, 0)].label
	if gate != noValue {
		m.counts.labelled += by
		switch {
		case !m.differs(slot):
		case e.changed:
			m.counts.changed += by
		case e.own:
			m.counts.own += by
		}
		switch {
		case !e.heldout:
			if m.mix[gate] += by; m.mix[gate] == 0 {
				delete(m.mix, gate)
			}
		case e.leaked:
			m.counts.leaked += by
		default:
			m.counts.heldOut += by
		}
	}
	if !e.heldout || e.leaked {
		return
	}
	wants := false
	for t, b := range m.confusions {
		label := m.values[m.at(slot, t)].label
		if label == noValue {
			continue
		}
		wants = true
		if e.answered {
			b.count(label, m.values[m.at(slot, t)].answer, by)
		}
	}
	if wants && !e.answered {
		if by > 0 {
			m.unscored[slot] = struct{}{}
		} else {
			delete(m.unscored, slot)
		}
	}
}

// differs reports whether an item differs from the training snapshot. An item whose labels were changed back does not
// differ.
func (m *Monitor) differs(slot int32) bool {
	if e := &m.entries[slot]; !e.changed && !e.own {
		return false
	}
	was, known := m.trained[slot]
	if !known {
		return true
	}
	for t, label := range was {
		if m.values[m.at(slot, t)].label != label {
			return true
		}
	}
	return false
}

// labels returns the numbers of an item's labels, in the order of the targets.
func (m *Monitor) labels(of map[string]string) []int32 {
	out := make([]int32, len(m.confusions))
	for t, b := range m.confusions {
		out[t] = b.label(of)
	}
	return out
}

// labelsBefore returns the labels before a change: those in the change if known, else those in the Monitor.
func (m *Monitor) labelsBefore(slot int32, old map[string]string) []int32 {
	if old != nil {
		return m.labels(old)
	}
	out := make([]int32, len(m.confusions))
	for t := range m.confusions {
		out[t] = m.values[m.at(slot, t)].label
	}
	return out
}

// oldLabel returns the gating label before a change: that in the change if known, else that in the Monitor.
func (m *Monitor) oldLabel(slot int32, old map[string]string) int32 {
	if old == nil {
		return m.values[m.at(slot, 0)].label
	}
	return m.confusions[0].label(old)
}

// packHash packs a text hash into 16 bytes; the 32 hex digits of TextHash fit exactly.
func packHash(s string) (packed [16]byte) {
	if len(s) == 32 {
		if _, err := hex.Decode(packed[:], []byte(s)); err == nil {
			return packed
		}
	}
	sum := sha256.Sum256([]byte(s))
	copy(packed[:], sum[:])
	return packed
}

func unpackHash(packed [16]byte) string { return hex.EncodeToString(packed[:]) }
