package drift

import (
	"crypto/sha256"
	"encoding/hex"
)

// Leaf is the hash of an item in a Merkle tree: SHA-256(0x00, id, 0, text hash, 0, target, 0, label, 0 …) with the
// targets in order.
func Leaf(id, textHash string, labels map[string]string) [sha256.Size]byte {
	var room [512]byte
	return sha256.Sum256(appendItem(append(room[:0], 0), id, textHash, labels))
}

// Merkle names all items of a split by one hash: the root of the tree of RFC 6962, section 2.1. Its leaves come sorted by
// id, then by hash, so that the root does not depend on the order of the items. The zero value is the empty tree; it
// keeps one hash for each level.
type Merkle struct {
	count uint64
	whole [][sha256.Size]byte // the largest complete trees so far, one for each bit of count, the largest first
}

// Add takes the next leaf.
func (m *Merkle) Add(leaf [sha256.Size]byte) {
	for bits := m.count; bits&1 == 1; bits >>= 1 {
		last := len(m.whole) - 1
		leaf = node(m.whole[last], leaf)
		m.whole = m.whole[:last]
	}
	m.whole = append(m.whole, leaf)
	m.count++
}

// Root is the hash of all leaves in hex; that of nothing is SHA-256 of the empty text.
func (m *Merkle) Root() string {
	if m.count == 0 {
		sum := sha256.Sum256(nil)
		return hex.EncodeToString(sum[:])
	}
	root := m.whole[len(m.whole)-1]
	for i := len(m.whole) - 2; i >= 0; i-- {
		root = node(m.whole[i], root)
	}
	return hex.EncodeToString(root[:])
}

// node is SHA-256(0x01, left, right).
func node(left, right [sha256.Size]byte) [sha256.Size]byte {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}
