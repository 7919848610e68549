package drift

// overwritten are the items to which retraind's own writes gave another label since the baseline, with the number of the
// label that people left there.
type overwritten map[string]int32

// note takes a change of an item's label. The people's label stays known until a person labels the item, its text
// changes, or retraind takes back what it wrote.
func (o overwritten) note(e *entry, before, now int32, own bool) {
	people, known := o[e.id]
	if !known {
		people = before
	}
	if own && (e.answered || e.waiting) && before != none && now != none && now != people {
		o[e.id] = people
	} else {
		delete(o, e.id)
	}
}

// figuresByPeople are those with each item under the label that people left it; nil where that changes nothing.
func (m *Monitor) figuresByPeople() *Figures {
	if len(m.tests.own) == 0 {
		return nil
	}
	m.exchange(1)
	f := m.boards[0].figures(m.release.Baseline)
	m.exchange(-1)
	return &f
}

// exchange puts people's labels in the place of retraind's on the gating target's board, and back (by = -1).
func (m *Monitor) exchange(by int) {
	b := m.boards[0]
	for id, people := range m.tests.own {
		slot, known := m.slots.find(m.entries, id)
		if !known || !m.entries[slot].answered {
			continue
		}
		v := m.values[m.at(slot, 0)]
		b.count(v.label, v.answer, -by)
		b.count(people, v.answer, by)
	}
}

// storeOwn is the JSON form of overwritten.
func (m *Monitor) storeOwn() map[string]string {
	out := make(map[string]string, len(m.tests.own))
	for id, people := range m.tests.own {
		out[id] = m.boards[0].values.list[people]
	}
	return out
}
