package drift

import (
	"crypto/sha256"
	"encoding/hex"
)

// Fingerprint names the state of a whole set of labelled items: equal states have equal fingerprints, in whatever
// order they were reached. It is the exclusive or of one hash per item, the first 16 bytes of its Leaf, so that adding,
// changing or removing an item moves it in O(1). It tells "nothing new" from "something new"; it is no defence against a
// forger.
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
	f.ToggleLeaf(Leaf(item, textHash, labels))
}

// ToggleLeaf is Toggle of the item with this Leaf.
func (f *Fingerprint) ToggleLeaf(leaf [sha256.Size]byte) {
	for i, b := range leaf[:len(f)] {
		f[i] ^= b
	}
}

// appendItem appends an item as it is hashed: its id, text hash, and each target in order with its label, with a 0 after
// each of them.
func appendItem(b []byte, item, textHash string, labels map[string]string) []byte {
	b = append(append(b, item...), 0)
	b = append(append(b, textHash...), 0)
	var targets [8]string
	for _, target := range sortedKeys(targets[:0], labels) {
		b = append(append(b, target...), 0)
		b = append(append(b, labels[target]...), 0)
	}
	return b
}
