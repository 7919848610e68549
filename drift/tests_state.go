package drift

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/retraind/retraind/drift/stats"
)

// storedTests is the JSON form of tests.
type storedTests struct {
	Release      string            `json:"release"`
	Seq          int64             `json:"seq"`
	RightToWrong int               `json:"right_to_wrong"`
	WrongToRight int               `json:"wrong_to_right"`
	Authors      []string          `json:"authors,omitempty"`
	ByPeople     map[string]string `json:"by_people,omitempty"` // people's labels that retraind's own writes replaced
	Arrivals     stats.ECUSUM      `json:"arrivals"`
	Alarmed      bool              `json:"alarmed,omitempty"`
	AtLeast      float64           `json:"at_least,omitempty"` // tests.rise
	Queue        []string          `json:"queue,omitempty"`
	Done         []string          `json:"done,omitempty"`
	OwnFirst     []string          `json:"own_first,omitempty"` // items to which retraind gave their first label

	Test       string                        `json:"test,omitempty"` // set in states of a test other than the e-CUSUM
	Categories map[string]storedCategoryTest `json:"categories,omitempty"`
	Probation  *trial                        `json:"probation,omitempty"`

	Days map[int64]int `json:"days"` // held-out labels by day: the bound depends on their rate
}

// State returns the sequential tests as JSON. Store it together with the sequence number that TestedSeq returns.
func (m *Monitor) State() ([]byte, error) {
	t := &m.tests
	b, err := json.Marshal(storedTests{
		Release: m.release.Digest, Seq: t.seq, RightToWrong: t.rightToWrong, WrongToRight: t.wrongToRight,
		Authors: slices.Sorted(maps.Keys(t.authors)), ByPeople: m.storeOwn(), Arrivals: t.arrivals, Alarmed: t.alarmed,
		AtLeast: t.rise, Queue: t.queue, Done: slices.Sorted(maps.Keys(t.done)), Days: m.days.recent(),
		OwnFirst: slices.Sorted(maps.Keys(t.ownFirst)), Categories: m.storeCategories(), Probation: t.trial,
	})
	if err != nil {
		return nil, fmt.Errorf("store sequential tests: %w", err)
	}
	return b, nil
}

// TestedSeq returns the sequence number of the last change in the sequential tests. After RestoreState, pass every
// later change to the Monitor again, in order. A repeated change has no effect, because counters are set and not
// incremented.
func (m *Monitor) TestedSeq() int64 { return m.tests.seq }

// RestoreState restores stored tests; call it after Reset for the same release. It returns an error and changes nothing
// if the state is invalid or from another release. A test whose state is invalid or against another tolerated rate
// restarts. An alarm is dropped if it was raised by a test other than the e-CUSUM, or by a version that compared the
// estimate instead of its lower end. The sums are kept, so a justified alarm is raised again with the next item.
func (m *Monitor) RestoreState(state []byte) error {
	var s storedTests
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("restore sequential tests: %w", err)
	}
	if s.Release != m.release.Digest {
		return fmt.Errorf("restore sequential tests: the state is of release %q, not of %q", s.Release, m.release.Digest)
	}
	if s.RightToWrong < 0 || s.WrongToRight < 0 || s.Arrivals.N < 0 || s.Arrivals.Errs < 0 ||
		s.Arrivals.Errs > s.Arrivals.N {
		return fmt.Errorf("restore sequential tests: the state has impossible counts")
	}
	t := m.newTests()
	t.seq = max(t.seq, s.Seq)
	t.rightToWrong, t.wrongToRight = s.RightToWrong, s.WrongToRight
	for _, a := range s.Authors {
		t.authors[a] = struct{}{}
	}
	for id, people := range s.ByPeople {
		t.own[id] = m.confusions[0].value(people)
	}
	if same := t.arrivals.Restore(s.Arrivals); same && s.Test == "" && s.Alarmed && s.AtLeast > 0 {
		t.alarmed, t.rise = true, s.AtLeast
	}
	m.restoreCategories(t.categories, s.Categories)
	t.trial.continues(s.Probation)
	for _, id := range s.Done {
		t.done[id] = struct{}{}
	}
	for _, id := range s.OwnFirst {
		t.ownFirst[id] = struct{}{}
	}
	for _, id := range s.Queue {
		if slot, known := m.find(id); known {
			m.entries[slot].waiting = true
		}
	}
	t.queue = s.Queue
	m.tests = t
	m.days.restore(s.Days)
	m.seq = max(m.seq, t.seq)
	m.feed()
	return nil
}

// storeOwn returns the JSON form of overwritten.
func (m *Monitor) storeOwn() map[string]string {
	out := make(map[string]string, len(m.tests.own))
	for id, people := range m.tests.own {
		out[id] = m.confusions[0].values.list[people]
	}
	return out
}

// carried returns the initial dependence for the tests of the next release; nil if nothing was measured.
func carried(arrivals stats.ECUSUM) *stats.Dependence {
	d := arrivals.Dependence.Carry()
	if d == (stats.Dependence{}) {
		return nil
	}
	return &d
}

// CarriedDependence returns the initial dependence for the next release from the stored tests of a release; nil if
// nothing was measured.
func CarriedDependence(state string) *stats.Dependence {
	var s storedTests
	if json.Unmarshal([]byte(state), &s) != nil || !s.Arrivals.Dependence.Valid() {
		return nil
	}
	return carried(s.Arrivals)
}
