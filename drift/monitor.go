package drift

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/serving"
)

// entry is one item. Its labels and answers are in Monitor.values, one value per target.
type entry struct {
	id   string
	hash [16]byte
	seq  int64
	// used is false for a free slot. changed: someone other than retraind changed the item since the training. own:
	// retraind itself did.
	used, heldout, leaked, answered, changed, own bool
	// waiting: the item was labelled since the baseline and is in the queue of the new-item test. All other labelled
	// items, except those in tests.ownFirst, are in the baseline or were tested already, so a correction of their label is
	// paired evidence.
	waiting bool
}

// value holds an item's label of one target and the release's answer, as numbers in the target's confusion matrix, or
// noValue.
type value struct{ label, answer int32 }

// Monitor maintains the exact figures of one model's release; each change takes constant time. Only one goroutine may
// use it. At start and after each promotion call Reset, then RestoreState, then replay the later changes.
type Monitor struct {
	opts       Options
	release    Release
	confusions []*confusion

	entries []entry
	free    []int32
	slots   map[string]int32 // by item id
	values  []value          // by slot*len(confusions)+target

	unscored map[int32]struct{}
	counts   counts
	mix      map[int32]int // gating label -> items outside the held-out set: the training population
	// trained maps slots to labels in the training snapshot, by target. It has the items of which only labels changed
	// since.
	trained map[int32][]int32

	seq     int64 // last change in the counters
	tests   tests
	days    days
	trouble error
}

// counts are the counters beside the confusion matrices.
type counts struct {
	labelled int // items with a label of the gating target
	changed  int // of them, changed by others since the training snapshot, and still different from it
	own      int // of them, changed since by retraind only, and still different
	heldOut  int // held-out, labelled, not leaked
	leaked   int // held-out and labelled, but seen in training
}

// NewMonitor returns a Monitor without a release; without targets it uses one target called label.
func NewMonitor(opts Options) *Monitor {
	if len(opts.Targets) == 0 {
		opts.Targets = serving.Config{}.List()
	}
	m := &Monitor{opts: opts}
	m.Reset(Release{}, nil)
	return m
}

// Reset discards all state and starts measuring a release on the given items. It assumes that all labelled items are in
// the baseline; a following RestoreState corrects that. It reads items once.
func (m *Monitor) Reset(release Release, items iter.Seq[LabelChange]) {
	m.release = release
	m.confusions = nil
	for _, t := range m.opts.Targets {
		m.confusions = append(m.confusions, newConfusion(t))
	}
	m.entries, m.free, m.values = nil, nil, nil
	m.slots = map[string]int32{}
	m.unscored = map[int32]struct{}{}
	m.counts = counts{}
	m.mix = map[int32]int{}
	m.trained = map[int32][]int32{}
	m.days = days{}
	m.seq = release.BaselineSeq
	m.trouble = nil
	m.tests = m.newTests()
	if items == nil {
		return
	}
	for item := range items {
		slot := m.slot(item.Item)
		m.take(slot)
		m.fill(slot, item)
		e := &m.entries[slot]
		if item.Seq > release.TrainedSeq {
			e.changed, e.own = !item.Own, item.Own
			if item.Trained != nil {
				m.trained[slot] = m.labels(item.Trained)
			}
		}
		m.give(slot)
		if item.Heldout && m.labelled(slot) {
			m.days.add(item.At)
		}
		m.seq = max(m.seq, item.Seq)
	}
}

// Put handles an item that was inserted or whose text changed.
func (m *Monitor) Put(item LabelChange) {
	m.seq = max(m.seq, item.Seq)
	slot, known := m.find(item.Item)
	if !known {
		slot = m.slot(item.Item)
	}
	before := noValue
	if !item.Inserted && (known || item.Old != nil) {
		before = m.oldLabel(slot, item.Old)
	}
	m.take(slot)
	m.fill(slot, item)
	if e := &m.entries[slot]; item.Seq > m.release.TrainedSeq {
		e.changed, e.own = e.changed || !item.Own, e.own || item.Own
		delete(m.trained, slot) // this text was not in the training
	}
	m.give(slot)
	m.observe(slot, before, item.Own, item.Author, item.At, item.Seq)
}

// Label handles a change of labels only. An unknown item is ignored, because a label without a text cannot be scored.
// The change with the text follows later, unless the item was deleted.
func (m *Monitor) Label(c LabelChange) {
	m.seq = max(m.seq, c.Seq)
	slot, known := m.find(c.Item)
	if !known {
		return
	}
	before := m.oldLabel(slot, c.Old)
	m.take(slot)
	e := &m.entries[slot]
	if c.Seq > m.release.TrainedSeq {
		if !e.changed && !e.own {
			m.trained[slot] = m.labelsBefore(slot, c.Old)
		}
		e.changed, e.own = e.changed || !c.Own, e.own || c.Own
	}
	for t, b := range m.confusions {
		m.values[m.at(slot, t)].label = b.label(c.New)
	}
	e.seq = max(e.seq, c.Seq)
	m.give(slot)
	m.observe(slot, before, c.Own, c.Author, c.At, c.Seq)
}

// Delete removes an item.
func (m *Monitor) Delete(id string, seq int64) {
	m.seq = max(m.seq, seq)
	slot, known := m.find(id)
	if !known {
		return
	}
	m.take(slot)
	if e := &m.entries[slot]; e.heldout && !e.waiting && m.labelled(slot) {
		m.tests.done[id] = struct{}{}
	}
	delete(m.tests.own, id)
	delete(m.slots, id)
	delete(m.trained, slot)
	m.entries[slot] = entry{}
	m.free = append(m.free, slot)
	m.tests.pass(seq)
	m.feed()
}

// Answer stores the release's answers for a text. It returns false if the text has changed meanwhile, the item was
// deleted, or the answer for a target is missing; the text then still lacks an answer.
func (m *Monitor) Answer(item, textHash string, answers serving.Answers) bool {
	slot, known := m.find(item)
	if !known || m.entries[slot].hash != packHash(textHash) {
		return false
	}
	m.take(slot)
	ok := m.answer(slot, answers)
	m.give(slot)
	m.feed()
	return ok
}

// Unscored lists the held-out texts that lack an answer although a target has a label for them, in the order of their
// last change. It leaves out those that the release was trained on. It takes time proportional to their number.
func (m *Monitor) Unscored() []Unscored {
	slots := make([]int32, 0, len(m.unscored))
	for slot := range m.unscored {
		slots = append(slots, slot)
	}
	slices.SortFunc(slots, func(a, b int32) int {
		x, y := &m.entries[a], &m.entries[b]
		if x.seq != y.seq {
			if x.seq < y.seq {
				return -1
			}
			return 1
		}
		return strings.Compare(x.id, y.id)
	})
	out := make([]Unscored, len(slots))
	for i, slot := range slots {
		out[i] = Unscored{m.entries[slot].id, unpackHash(m.entries[slot].hash)}
	}
	return out
}

// AnswerTo returns the release's answer for an item's gating target.
func (m *Monitor) AnswerTo(item string) (answer string, ok bool) {
	slot, known := m.find(item)
	if !known || !m.entries[slot].answered {
		return "", false
	}
	return m.confusions[0].values.list[m.values[m.at(slot, 0)].answer], true
}

// Service records the result of the last attempt to score: nil, an error that wraps ErrAsleep, or another error. It
// affects the report only while texts lack answers or no release is measured. Otherwise the figures are exact even if
// the service is down.
func (m *Monitor) Service(err error) { m.trouble = err }

// Seq returns the sequence number of the last counted change.
func (m *Monitor) Seq() int64 { return m.seq }

// Release returns the release that is measured.
func (m *Monitor) Release() Release { return m.release }

// Rebase makes the present figures the baseline, puts all present items into it and restarts the sequential tests. It
// returns an error without a release, and while texts are unscored, because leaving them out would bias the baseline.
func (m *Monitor) Rebase(now time.Time) (Baseline, error) {
	s := m.confusions[0].scores()
	switch {
	case m.release.Digest == "":
		return Baseline{}, errors.New("take a baseline: there is no release")
	case len(m.unscored) > 0:
		return Baseline{}, errors.New("take a baseline: some held-out texts are not scored yet")
	}
	b := Baseline{
		Accuracy: s.Accuracy, MacroF1: s.MacroF1, N: s.N, Correct: s.Correct, At: now, Target: m.confusions[0].target.Name,
		Category: Missed(m.confusions[0].categories()), Dependence: carried(m.tests.arrivals),
	}
	m.release.Baseline, m.release.BaselineSeq = &b, m.seq
	m.release.Probation = nil // it compares with the gate's figures, which the new baseline replaces
	m.tests = m.newTests()
	for slot := range m.entries {
		m.entries[slot].waiting = false
	}
	return b, nil
}
