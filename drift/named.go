package drift

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Test names a sequential test of the error rate of newly arriving items.
type Test string

// The tests. Only the e-CUSUM keeps a promise about false alarms; the others are here for those who know them, with the
// defaults that were published with them.
const (
	TestECUSUM      Test = "ecusum"
	TestADWIN       Test = "adwin"
	TestDDM         Test = "ddm"
	TestPageHinkley Test = "page_hinkley"
)

// TestNames lists them, the default first.
func TestNames() []Test { return []Test{TestECUSUM, TestADWIN, TestDDM, TestPageHinkley} }

// Known says whether there is such a test; the empty name stands for the default.
func (t Test) Known() bool { return t == "" || slices.Contains(TestNames(), t) }

// Promises says whether the test keeps a promise about false alarms.
func (t Test) Promises() bool { return t == "" || t == TestECUSUM }

// Sequential is a test that takes one observation at a time, in commit order, and says when it alarms.
type Sequential interface {
	Add(isError bool) (alarm bool)
}

// NewSequential returns one of the tests that need no bound; nil for the e-CUSUM and for unknown names.
func NewSequential(t Test) Sequential {
	switch t {
	case TestADWIN:
		return &ADWIN{}
	case TestDDM:
		return &DDM{}
	case TestPageHinkley:
		return &PageHinkley{}
	}
	return nil
}

// restoreSequential continues a stored test; one that cannot be read, or cannot be right, starts anew.
func restoreSequential(t Test, state []byte) (Sequential, bool) {
	s := NewSequential(t)
	if s == nil || len(state) == 0 || json.Unmarshal(state, s) != nil {
		return NewSequential(t), false
	}
	if v, ok := s.(interface{ valid() bool }); ok && !v.valid() {
		return NewSequential(t), false
	}
	return s, true
}

// storedADWIN is the JSON form of ADWIN: errors by bucket, the smallest buckets first, the oldest first among equals.
type storedADWIN struct {
	Seen int       `json:"seen"`
	Rows [][]int32 `json:"rows"`
}

// MarshalJSON implements json.Marshaler.
func (a *ADWIN) MarshalJSON() ([]byte, error) {
	s := storedADWIN{Seen: a.seen, Rows: make([][]int32, a.rows)}
	for i := range s.Rows {
		s.Rows[i] = a.sums[i][:a.count[i]]
	}
	return json.Marshal(s)
}

// UnmarshalJSON implements json.Unmarshaler. It refuses what no stream could have led to.
func (a *ADWIN) UnmarshalJSON(b []byte) error {
	var s storedADWIN
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	next := ADWIN{seen: s.Seen, rows: len(s.Rows)}
	if len(s.Rows) > adwinSizes {
		return fmt.Errorf("adwin: %d sizes of buckets", len(s.Rows))
	}
	for i, row := range s.Rows {
		if len(row) > adwinBuckets || i == len(s.Rows)-1 && len(row) == 0 {
			return fmt.Errorf("adwin: %d buckets of %d observations", len(row), 1<<i)
		}
		for j, sum := range row {
			if sum < 0 || int64(sum) > 1<<i {
				return fmt.Errorf("adwin: %d errors in a bucket of %d", sum, 1<<i)
			}
			next.sums[i][j] = sum
			next.n += 1 << i
			next.errs += int(sum)
		}
		next.count[i] = int8(len(row))
	}
	if next.seen < next.n {
		return fmt.Errorf("adwin: %d observations in the window, %d seen", next.n, next.seen)
	}
	*a = next
	return nil
}
