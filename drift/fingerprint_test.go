package drift_test

import (
	"testing"

	"github.com/retraind/retraind/drift"
)

func TestFingerprintNamesAState(t *testing.T) {
	t.Parallel()
	var a, b, empty drift.Fingerprint
	a.Toggle("1", hash("1"), label("x"))
	a.Toggle("2", hash("2"), label("y"))
	b.Toggle("2", hash("2"), label("y"))
	b.Toggle("1", hash("1"), label("z"))
	if a == b {
		t.Error("another label, the same fingerprint")
	}
	b.Toggle("1", hash("1"), label("z")) // its label is corrected
	b.Toggle("1", hash("1"), label("x"))
	if a != b {
		t.Error("the same items in another order differ")
	}
	again, ok := drift.ParseFingerprint(a.String())
	if !ok || again != a {
		t.Errorf("%v is read back as %v", a, again)
	}
	a.Toggle("1", hash("1"), label("x"))
	a.Toggle("2", hash("2"), label("y"))
	if a != empty {
		t.Error("everything removed is not nothing")
	}
	if f, ok := drift.ParseFingerprint(""); !ok || f != empty {
		t.Error("no fingerprint is not the empty set")
	}
	for _, bad := range []string{"zz", "00", a.String() + "00"} {
		if _, ok := drift.ParseFingerprint(bad); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}
