package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// Fingerprint names the state of a whole set of labelled items: equal states have equal fingerprints, in whatever
// order they were reached. It is the exclusive or of one hash per item, so that adding, changing or removing an item
// moves it in O(1). It tells "nothing new" from "something new"; it is no defence against a forger.
type Fingerprint [16]byte

// ParseFingerprint reads what String wrote; "" is the empty set.
func ParseFingerprint(s string) (Fingerprint, bool) {
	var f Fingerprint
	if s == "" {
		return f, true
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(f) {
		return f, false
	}
	copy(f[:], b)
	return f, true
}

// String is the fingerprint in hex.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Toggle adds an item that is not in the set, or removes one that is.
func (f *Fingerprint) Toggle(item, textHash string, labels map[string]string) {
	h := sha256.New()
	part := func(s string) {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	part(item)
	part(textHash)
	for _, target := range slices.Sorted(maps.Keys(labels)) {
		part(target)
		part(labels[target])
	}
	for i, b := range h.Sum(nil)[:len(f)] {
		f[i] ^= b
	}
}
