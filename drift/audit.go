package drift

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Audit recomputes the counts, the label mix, the texts that wait for answers and the confusion matrices from the
// items, and returns the first difference as an error. It cannot recompute the sequential tests. A difference is always
// a bug of this program, never a fault of the data: the caller should raise an alarm and call Reset.
func (m *Monitor) Audit() error {
	fresh := make([]*confusion, len(m.confusions))
	for t, b := range m.confusions {
		fresh[t] = &confusion{
			target: b.target, values: b.values, members: b.members, rows: b.rows,
			tallies: make([]tally, len(b.tallies)), pairs: map[[2]int32]int{}, unfit: b.unfit,
		}
	}
	var want counts
	mix := map[int32]int{}
	unscored := map[int32]struct{}{}
	used := 0
	for i := range m.entries {
		e, slot := &m.entries[i], int32(i)
		if !e.used {
			continue
		}
		used++
		if got, ok := m.find(e.id); !ok || got != slot {
			return fmt.Errorf("audit %s: the index has a wrong place for item %q", m.opts.Model, e.id)
		}
		scorable := e.heldout && !e.leaked
		if gate := m.values[m.at(slot, 0)].label; gate != noValue {
			want.labelled++
			switch {
			case !m.differs(slot):
			case e.changed:
				want.changed++
			case e.own:
				want.own++
			}
			if scorable {
				want.heldOut++
			} else if e.heldout {
				want.leaked++
			} else {
				mix[gate]++
			}
		}
		for t, b := range fresh {
			label := m.values[m.at(slot, t)].label
			switch {
			case label == noValue || !scorable:
			case e.answered:
				b.count(label, m.values[m.at(slot, t)].answer, 1)
			default:
				unscored[slot] = struct{}{}
			}
		}
	}
	if used != len(m.slots) {
		return fmt.Errorf("audit %s: %d items are stored, %d are in the index", m.opts.Model, used, len(m.slots))
	}
	if want != m.counts {
		return fmt.Errorf("audit %s: counters %+v, recomputed %+v", m.opts.Model, m.counts, want)
	}
	if !maps.Equal(mix, m.mix) {
		return fmt.Errorf("audit %s: the label mix differs from the recomputed one", m.opts.Model)
	}
	if !maps.Equal(unscored, m.unscored) {
		return fmt.Errorf("audit %s: %d texts wait for answers, recomputed %d", m.opts.Model, len(m.unscored), len(unscored))
	}
	for t, b := range m.confusions {
		if err := b.differs(fresh[t]); err != nil {
			return fmt.Errorf("audit %s: target %s: %w", m.opts.Model, b.target.Name, err)
		}
	}
	return nil
}

func (b *confusion) differs(want *confusion) error {
	if b.n != want.n || b.correct != want.correct {
		return fmt.Errorf("%d of %d correct, recomputed %d of %d", b.correct, b.n, want.correct, want.n)
	}
	if b.unfitN != want.unfitN {
		return fmt.Errorf("%d answers are unusable, recomputed %d", b.unfitN, want.unfitN)
	}
	for i, t := range b.tallies {
		if t != want.tallies[i] {
			return fmt.Errorf("category %d counts %+v, recomputed %+v", i, t, want.tallies[i])
		}
	}
	if !maps.Equal(b.pairs, want.pairs) {
		return errors.New("the confusion matrix differs from the recomputed one")
	}
	return nil
}

// Compare returns the first difference between two Monitors that have seen the same changes, in the figures that Audit
// checks. It compares labels by name, because their numbers depend on the order of first use.
func (m *Monitor) Compare(other *Monitor) error {
	fail := func(what string, mine, theirs any) error {
		return fmt.Errorf("audit %s: %s: %v in memory, %v recomputed from the store", m.opts.Model, what, mine, theirs)
	}
	switch {
	case m.release.Digest != other.release.Digest:
		return fail("release", m.release.Digest, other.release.Digest)
	case m.counts != other.counts:
		return fail("counters", fmt.Sprintf("%+v", m.counts), fmt.Sprintf("%+v", other.counts))
	case !maps.Equal(m.labelMix(), other.labelMix()):
		return fail("label mix", m.labelMix(), other.labelMix())
	case len(m.confusions) != len(other.confusions):
		return fail("targets", len(m.confusions), len(other.confusions))
	}
	if mine, theirs := m.Unscored(), other.Unscored(); !slices.Equal(mine, theirs) {
		return fail("texts that wait for answers", len(mine), len(theirs))
	}
	for i, b := range m.confusions {
		mine, theirs := b.categories(), other.confusions[i].categories()
		for k := range max(len(mine), len(theirs)) {
			if k >= len(mine) || k >= len(theirs) || mine[k] != theirs[k] {
				return fail("target "+b.target.Name, at(mine, k), at(theirs, k))
			}
		}
		if mine, theirs := b.confusion(), other.confusions[i].confusion(); !slices.Equal(mine, theirs) {
			return fail("target "+b.target.Name, "one confusion matrix", "another")
		}
	}
	return nil
}

// at formats the k-th category, if there is one.
func at(list []Category, k int) string {
	if k >= len(list) {
		return "no further category"
	}
	return fmt.Sprintf("%+v", list[k])
}
