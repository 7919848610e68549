package classifier

import "testing"

func TestFrequencies(t *testing.T) {
	t.Parallel()
	// Three n-grams in 1 text, two in 2, one in 5, one in 90.
	counts := []uint32{1, 0, 2, 5, 1, 90, 0, 2, 1}
	for _, c := range []struct {
		features, entries int
		low, high         uint32
	}{
		{7, 102, 1, 90},
		{6, 102, 2, 90}, // no room for the three rarest
		{2, 102, 3, 90},
		{0, 102, 91, 90}, // none
		{7, 101, 1, 89},  // the most frequent one takes too many entries
		{4, 9, 2, 89},
		{7, 2, 1, 0}, // not even the rarest
	} {
		if low, high := frequencies(counts, c.features, c.entries); low != c.low || high != c.high {
			t.Errorf("%d features, %d entries: %d to %d, want %d to %d", c.features, c.entries, low, high, c.low, c.high)
		}
	}
}

func TestVocabularyFindsItsOwn(t *testing.T) {
	t.Parallel()
	for _, hashes := range [][]uint32{nil, {7}, {0, 1, 2, 1<<bucketBits - 1}} {
		w := &vocabulary{hashes: hashes}
		w.makeTable()
		for i, h := range hashes {
			if w.find(h) != i {
				t.Errorf("%v: %d is at %d", hashes, h, w.find(h))
			}
		}
		if w.find(12345) >= 0 {
			t.Errorf("%v has 12345", hashes)
		}
	}
}
