package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// Fingerprint identifies the state of a set of labelled items: equal sets have equal fingerprints, whatever the order
// of the changes. It is the exclusive or of the first 16 bytes of each item's itemHash, so that adding, changing or
// removing an item updates it in O(1). It detects accidental differences only; it does not resist forgery.
type Fingerprint [16]byte

// ParseFingerprint parses the result of String; "" is the empty set.
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

// String returns the fingerprint in hex.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Toggle adds an item to the set, or removes it if it is in the set.
func (f *Fingerprint) Toggle(item, textHash string, labels map[string]string) {
	sum := itemHash(item, textHash, labels)
	for i, b := range sum[:len(f)] {
		f[i] ^= b
	}
}

// itemHash returns SHA-256(0x00, id, 0, text hash, 0, target, 0, label, 0 …) with the targets in order. The first byte
// comes from an earlier Merkle tree with the same leaves; it stays because stored fingerprints depend on it.
func itemHash(item, textHash string, labels map[string]string) [sha256.Size]byte {
	return sha256.Sum256(appendItem([]byte{0}, item, textHash, labels))
}

// appendItem appends the hash input of an item: the id, the text hash, and each target in order with its label. Each
// part is followed by a 0.
func appendItem(b []byte, item, textHash string, labels map[string]string) []byte {
	b = append(append(b, item...), 0)
	b = append(append(b, textHash...), 0)
	for _, target := range slices.Sorted(maps.Keys(labels)) {
		b = append(append(b, target...), 0)
		b = append(append(b, labels[target]...), 0)
	}
	return b
}
