package drift

import (
	"time"

	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/unit"
)

// minBound is the lowest alarm bound, so that a handful of errors raises no alarm. minRate is the lowest label rate
// (labels a day) used to compute the bound. With a lower measured rate, there are fewer false retrains than promised.
const (
	minBound = 20
	minRate  = 1
)

// tests holds the sequential tests since the baseline. Their state depends on the order of changes, so it is stored
// instead of computed again.
type tests struct {
	seq int64 // last change in the tests

	rightToWrong, wrongToRight int
	authors                    map[string]struct{}
	own                        overwritten

	arrivals   stats.ECUSUM
	alarmed    bool
	rise       float64                 // Rise.Low at the alarm, in percentage points
	categories map[int32]*categoryTest // by category number of the gating target
	trial      *trial                  // nil if the release was promoted without a probation

	queue []string            // items to be tested, in commit order
	done  map[string]struct{} // items not to be tested again: tested, deleted, or with a removed label
	// ownFirst are the items to which retraind gave their first label. They are neither in the baseline nor tested, and
	// people correct only the wrong ones: their labels are no evidence until the next baseline.
	ownFirst map[string]struct{}
}

func (m *Monitor) newTests() tests {
	t := tests{
		seq: m.release.BaselineSeq, authors: map[string]struct{}{}, own: overwritten{},
		done: map[string]struct{}{}, ownFirst: map[string]struct{}{},
	}
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

// pass records the sequence number of a change that the tests have seen.
func (t *tests) pass(seq int64) { t.seq = max(t.seq, seq) }

// observe adds one label change to the tests: a first label to the test of new items, a correction to the paired
// counts.
func (m *Monitor) observe(slot int32, before int32, own bool, author string, at time.Time, seq int64) {
	t := &m.tests
	if seq <= t.seq {
		return // a replayed change that is in the stored state already
	}
	t.pass(seq)
	defer m.feed()

	e := &m.entries[slot]
	now := m.values[m.at(slot, 0)].label
	first := before == noValue && now != noValue
	if first && e.heldout {
		m.days.add(at)
	}
	if m.release.Baseline == nil || !e.heldout || e.leaked {
		e.waiting = false
		delete(t.own, e.id)
		return
	}
	if people, known := t.own[e.id]; known && !own {
		before = people // compare with the person's label, which retraind had replaced
	}
	t.own.note(e, before, now, own)
	_, ownFirst := t.ownFirst[e.id]
	switch {
	case e.waiting: // it is in the queue and will be tested with the label that it has then
	case ownFirst:
	case first && own:
		t.ownFirst[e.id] = struct{}{}
	case first:
		if _, done := t.done[e.id]; !done {
			e.waiting = true
			t.queue = append(t.queue, e.id)
			t.trial.queued(e.id, at)
		}
	case before != noValue && now == noValue: // label removed; a later label does not make the item a new one
		t.done[e.id] = struct{}{}
	case before != noValue && before != now && e.answered && !own:
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

// feed adds queued items to the test in commit order. An item without an answer blocks the items behind it, because an
// order that depended on the answers would invalidate the test's guarantee.
func (m *Monitor) feed() {
	t := &m.tests
	for len(t.queue) > 0 {
		id := t.queue[0]
		if slot, known := m.find(id); known && m.entries[slot].waiting {
			e := &m.entries[slot]
			label := m.values[m.at(slot, 0)].label
			if label != noValue && e.heldout && !e.leaked {
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

// judge adds one arrived item to the tests.
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

// risen estimates how much the error rate of newly arrived items exceeds that at the promotion; zero without a
// baseline.
func (m *Monitor) risen() stats.Rise {
	b := m.release.Baseline
	if b == nil {
		return stats.Rise{}
	}
	return m.tests.arrivals.Rise(stats.Stretch{N: b.N, Errs: b.N - b.Correct})
}

// bound returns the e-value at which the test must alarm to keep a promised rate of false retrains: the number of
// held-out labels that arrive in the time in which one false retrain is allowed, but at least minBound. It is 0 if no
// rate is configured.
func (m *Monitor) bound(r unit.Rate, today int64) float64 {
	if r.Count <= 0 || r.Per <= 0 {
		return 0
	}
	period := time.Duration(r.Per).Hours() / 24 / float64(r.Count)
	return max(minBound, max(minRate, m.days.careful(today))*period)
}

// overwritten has an entry for each item whose label retraind itself replaced since the baseline: the label before
// that, as a value number. The comments call that earlier label the person's label.
type overwritten map[string]int32

// note records a change of an item's label. It keeps the person's label until a person labels the item again, the
// item's text changes, or retraind restores the person's label.
func (o overwritten) note(e *entry, before, now int32, own bool) {
	people, known := o[e.id]
	if !known {
		people = before
	}
	if own && (e.answered || e.waiting) && before != noValue && now != noValue && now != people {
		o[e.id] = people
	} else {
		delete(o, e.id)
	}
}

// figuresByPeople computes the figures with people's labels in place of those by which retraind replaced them. It
// returns nil if there is no such label.
func (m *Monitor) figuresByPeople() *Figures {
	if len(m.tests.own) == 0 {
		return nil
	}
	m.exchange(1)
	f := m.confusions[0].figures(m.release.Baseline)
	m.exchange(-1)
	return &f
}

// exchange replaces retraind's labels by those of people in the gating target's matrix if `by` is 1, and undoes that if
// `by` is -1.
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
