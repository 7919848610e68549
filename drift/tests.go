package drift

import (
	"time"

	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/unit"
)

// minBound keeps the alarm bound away from values that a handful of errors reaches, and minRate (labels a day) does so
// where the measured rate is next to nothing: the promise is then kept with room to spare.
const (
	minBound = 20
	minRate  = 1
)

// tests is the sequential evidence since the baseline. Everything in it depends on the order of changes, so it is
// stored, not rebuilt.
type tests struct {
	seq      int64 // last change that is in the tests
	replayed int64 // changes up to here may be given again: what the Monitor remembers is newer than they are

	rightToWrong, wrongToRight int
	authors                    map[string]struct{}
	own                        overwritten

	arrivals   stats.ECUSUM
	alarmed    bool
	rise       float64                 // by how many points the error had risen at the alarm, as Rise.Low
	categories map[int32]*categoryTest // by value of the gating target
	trial      *trial                  // nil where the release was promoted without a probation

	queue []string            // items that wait for their turn, in commit order
	done  map[string]struct{} // items that had their turn, and judged ones that are gone or lost their label: none counts twice
}

func (m *Monitor) newTests() tests {
	t := tests{seq: m.release.BaselineSeq, authors: map[string]struct{}{}, own: overwritten{}, done: map[string]struct{}{}}
	if b := m.release.Baseline; b != nil {
		t.arrivals = stats.NewECUSUM(stats.ToleratedError(b.Correct, b.N))
		t.categories = m.newCategoryTests(*b)
		t.trial = newTrial(m.release.Probation, b)
		if b.Dependence != nil && b.Dependence.Valid() {
			t.arrivals.Dependence = *b.Dependence
		}
	}
	return t
}

// pass notes that the tests have seen a change.
func (t *tests) pass(seq int64) { t.seq = max(t.seq, seq) }

// observe gives one label change to the tests: a first label to the arrivals, a correction to the paired stream.
func (m *Monitor) observe(slot int32, before int32, own bool, author string, at time.Time, seq int64) {
	t := &m.tests
	if seq <= t.seq {
		return // a replay of what the stored state already holds
	}
	t.pass(seq)
	defer m.feed()

	e := &m.entries[slot]
	now := m.values[m.at(slot, 0)].label
	first := before == none && now != none
	if first && e.heldout {
		m.days.add(at)
	}
	if m.release.Baseline == nil || !e.heldout || e.leaked {
		e.waiting = false
		delete(t.own, e.id)
		return
	}
	if people, known := t.own[e.id]; known && !own {
		before = people // the person corrects another's label, or puts it back
	}
	t.own.note(e, before, now, own)
	switch {
	case e.waiting: // it will be judged by the label that people left it when its turn comes
	case first && own:
	case first:
		if _, done := t.done[e.id]; !done {
			e.waiting = true
			t.queue = append(t.queue, e.id)
			t.trial.queued(e.id, at)
		}
	case before != none && now == none: // withdrawn; another label later is no arrival
		t.done[e.id] = struct{}{}
	case before != none && before != now && e.answered && !own:
		answer := m.values[m.at(slot, 0)].answer
		switch {
		case before == answer:
			t.rightToWrong++
		case now == answer:
			t.wrongToRight++
		default:
			return // wrong before and after
		}
		t.authors[author] = struct{}{}
	}
}

// feed gives arrived items to the test in commit order. One that has no answer yet holds up those behind it: an order
// that depended on the answers would void the promise.
func (m *Monitor) feed() {
	t := &m.tests
	for len(t.queue) > 0 {
		id := t.queue[0]
		if slot, known := m.find(id); known && m.entries[slot].waiting {
			e := &m.entries[slot]
			label := m.values[m.at(slot, 0)].label
			if label != none && e.heldout && !e.leaked {
				if !e.answered {
					return
				}
				if people, known := t.own[id]; known {
					label = people
				}
				answer := m.values[m.at(slot, 0)].answer
				m.judge(label, answer)
				t.trial.judge(id, label != answer)
				t.done[id] = struct{}{}
			}
			e.waiting = false
		}
		t.trial.left(id)
		t.queue = t.queue[1:]
	}
	t.queue = nil
}

// judge gives one arrived item to the tests.
func (m *Monitor) judge(label, answer int32) {
	t := &m.tests
	wrong := label != answer
	t.arrivals.Add(wrong)
	if bound := m.bound(m.opts.FalseRetrains, m.days.last); !t.alarmed && bound > 0 && t.arrivals.Reaches(bound) {
		if rise := points(m.risen().Low); rise >= m.opts.DropPoints {
			t.alarmed, t.rise = true, rise
		}
	}
	m.judgeCategories(label, answer)
}

// risen is how far the error of the arrived items has risen above that at the promotion; nothing without a baseline.
func (m *Monitor) risen() stats.Rise {
	b := m.release.Baseline
	if b == nil {
		return stats.Rise{}
	}
	return m.tests.arrivals.Rise(stats.Stretch{N: b.N, Errs: b.N - b.Correct})
}

// bound is the e-value that keeps a promise: as many held-out labels as arrive in the time in which one false retrain
// is allowed; 0 when no promise is configured.
func (m *Monitor) bound(r unit.Rate, today int64) float64 {
	if r.Count <= 0 || r.Per <= 0 {
		return 0
	}
	period := time.Duration(r.Per).Hours() / 24 / float64(r.Count)
	return max(minBound, max(minRate, m.days.careful(today))*period)
}

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
	f := m.confusions[0].figures(m.release.Baseline)
	m.exchange(-1)
	return &f
}

// exchange puts people's labels in the place of retraind's on the gating target's matrix, and back (by = -1).
func (m *Monitor) exchange(by int) {
	b := m.confusions[0]
	for id, people := range m.tests.own {
		slot, known := m.find(id)
		if !known || !m.entries[slot].answered {
			continue
		}
		v := m.values[m.at(slot, 0)]
		b.count(v.label, v.answer, -by)
		b.count(people, v.answer, by)
	}
}
