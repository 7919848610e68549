package drift

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Merkle collects (id, text hash, labels) of a split, and names all of them by one hash that does not depend on their
// order. It is the tree of RFC 6962, section 2.1, over the items sorted by id: a leaf is SHA-256(0x00, id, 0, text hash,
// 0, target, 0, label, 0 …) with the targets in order, a node SHA-256(0x01, left, right). One entry takes about 50 bytes.
type Merkle struct {
	leaves []leaf
}

type leaf struct {
	id   string
	hash [sha256.Size]byte
}

// Add takes one item.
func (m *Merkle) Add(id, textHash string, labels map[string]string) {
	var room [512]byte
	sum := sha256.Sum256(appendItem(append(room[:0], 0), id, textHash, labels))
	m.leaves = append(m.leaves, leaf{id, sum})
}

// Root is the hash of all items in hex; that of nothing is SHA-256 of the empty text.
func (m *Merkle) Root() string {
	slices.SortFunc(m.leaves, func(a, b leaf) int {
		return cmp.Or(strings.Compare(a.id, b.id), slices.Compare(a.hash[:], b.hash[:]))
	})
	if len(m.leaves) == 0 {
		sum := sha256.Sum256(nil)
		return hex.EncodeToString(sum[:])
	}
	root := subtree(m.leaves)
	return hex.EncodeToString(root[:])
}

// subtree splits at the largest power of two below the number of leaves.
func subtree(leaves []leaf) [sha256.Size]byte {
	if len(leaves) == 1 {
		return leaves[0].hash
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := subtree(leaves[:k]), subtree(leaves[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}
