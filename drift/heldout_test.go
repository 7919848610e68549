package drift_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
)

func TestMembership(t *testing.T) {
	t.Parallel()
	// According to OpenSSL, the first 8 bytes of HMAC-SHA256("key", SHA-256("The quick brown fox jumps over the lazy
	// dog")) are f545b28969b92bd0.
	const fox, edge = "The quick brown fox jumps over the lazy dog", float64(0xf545b28969b92bd0) / (1 << 63) / 2
	if drift.NewMembership([]byte("key"), edge*(1-1e-9)).Heldout(fox) ||
		!drift.NewMembership([]byte("key"), edge*(1+1e-9)).Heldout(fox) {
		t.Error("the known key changes sides at another share than HMAC-SHA256 gives")
	}

	m, again := drift.NewMembership([]byte("salt"), .15), drift.NewMembership([]byte("salt"), .15)
	other, larger := drift.NewMembership([]byte("pepper"), .15), drift.NewMembership([]byte("salt"), .30)
	const n = 20_000
	in, differ := 0, 0
	for i := range n {
		key := fmt.Sprint("group ", i)
		is := m.Heldout(key)
		if is {
			in++
		}
		if is != again.Heldout(key) {
			t.Fatal("the same salt decides differently")
		}
		if is && !larger.Heldout(key) {
			t.Fatal("a larger share excludes a group")
		}
		if is != other.Heldout(key) {
			differ++
		}
	}
	if share := float64(in) / n; math.Abs(share-.15) > .01 {
		t.Errorf("share %.4f", share)
	}
	if differ < n/5 {
		t.Errorf("another salt moves only %d of %d", differ, n)
	}
}

func TestGroupKey(t *testing.T) {
	t.Parallel()
	same := []map[string]string{
		{"title": "Über  den\tFluss", "content": "Ein Text."},
		{"title": " u\u0308ber den FLUSS ", "content": "ein text.\n"},
	}
	if a, b := drift.GroupKey(same[0], nil), drift.GroupKey(same[1], nil); a != b {
		t.Errorf("%q and %q", a, b)
	}
	if drift.GroupKey(map[string]string{"a": "x y", "b": "z"},
		nil) == drift.GroupKey(map[string]string{"a": "x", "b": "y z"}, nil) {
		t.Error("the columns are not separated")
	}
	one := drift.GroupKey(map[string]string{"title": "T", "content": "A"}, []string{"title"})
	if one != drift.GroupKey(map[string]string{"title": "t", "content": "B"}, []string{"title"}) || one != "t" {
		t.Errorf("only the title counts: %q", one)
	}
	if k := drift.GroupKey(map[string]string{"t": "a\xffb"}, nil); k != "a\uFFFDb" {
		t.Errorf("invalid UTF-8: %q", k)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		key := drift.GroupKey(map[string]string{"t": s}, nil)
		if again := drift.GroupKey(map[string]string{"t": key}, nil); again != key {
			t.Fatalf("normalising %q twice: %q, %q", s, key, again)
		}
	})
}

func TestTextHash(t *testing.T) {
	t.Parallel()
	h := drift.TextHash(map[string]string{"title": "a", "content": "b"})
	if len(h) != 32 {
		t.Errorf("%q is not 32 hex digits", h)
	}
	for _, other := range []map[string]string{
		{"title": "a"},
		{"title": "b", "content": "a"},
		{"title": "a", "content": "b "},
		{"titlea": "", "content": "b"},
		{},
	} {
		if drift.TextHash(other) == h {
			t.Errorf("%v has the same hash", other)
		}
	}
}

func TestHeldoutConfig(t *testing.T) {
	t.Parallel()
	if p := (drift.HeldoutConfig{}).WithDefaults().Validate(); len(p) != 0 {
		t.Error(p)
	}
	for _, bad := range []drift.HeldoutConfig{
		{Share: -1},
		{Share: .6},
		{Group: []string{""}},
		{Group: []string{"a", "a"}},
		{},
	} {
		if bad.Share == 0 && bad.Group != nil {
			bad.Share = .15
		}
		if len(bad.Validate()) != 1 {
			t.Errorf("%+v: %v", bad, bad.Validate())
		}
	}
}
