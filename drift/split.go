package drift

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Side is the file of an export that an item belongs to.
type Side string

// The sides. Validation is a part of what a release sees in training; only the test side judges it.
const (
	SideTrain      Side = "train"
	SideValidation Side = "validation"
	SideTest       Side = "test"
)

// Split decides which items are held out, and which of the others are for validation, from the salt, the group key and
// the user's own file alone: no label, no order and no other item has a say. Safe for concurrent use.
type Split struct {
	members    Membership
	validation float64
	columns    []string // of the group key; nil = all
	file       *HeldoutFile
	saltID     string
}

// NewSplit returns the split of a validated configuration. File is nil where the share decides.
func NewSplit(c HeldoutConfig, salt []byte, file *HeldoutFile) *Split {
	c = c.WithDefaults()
	id := hmac.New(sha256.New, salt)
	id.Write([]byte("retraind salt id")) // names the salt and does not tell it
	return &Split{
		members: NewMembership(salt, c.Share.F()), validation: c.Validation.F(), columns: c.Group, file: file,
		saltID: hex.EncodeToString(id.Sum(nil)[:8]),
	}
}

// SaltID names the salt without telling it: exports with equal ids were split alike.
func (s *Split) SaltID() string { return s.saltID }

// FileDigest names the contents of the user's own test set, "" where the share decides.
func (s *Split) FileDigest() string {
	if s.file == nil {
		return ""
	}
	return s.file.Digest
}

// Place says of an item which group it is in and whether it is held out. A side that was decided by the share holds for
// as long as the item exists, so the caller stores it; one that a file decides is as the file says now (Follows).
func (s *Split) Place(id string, text map[string]string) (group string, heldout bool) {
	p := s.Find(id, text)
	return p.Group, p.Heldout
}

// Found is the place of an item.
type Found struct {
	Group      string // GroupHash of its group key
	Heldout    bool
	validation bool
}

// Find is Place for a caller that wants the side, too: hashing a text is most of the work.
func (s *Split) Find(id string, text map[string]string) Found {
	sum := sha256.Sum256([]byte(GroupKey(text, s.columns)))
	at := s.members.fraction(sum)
	// Validation is taken from the other end than the held-out share, so that neither moves the other when it is changed.
	p := Found{Group: shortHex(sum), Heldout: at < s.members.share, validation: s.validation > 0 && at >= 1-s.validation}
	if s.file != nil {
		p.Heldout = s.file.Has(id, p.Group)
	}
	return p
}

// Follows gives the side of an item that is known already: the one that it has, or as the user's file says now.
func (s *Split) Follows(id, group string, heldout bool) bool {
	if s.file != nil {
		return s.file.Has(id, group)
	}
	return heldout
}

// Side places an item that is not held out in training or validation.
func (p Found) Side(heldout bool) Side {
	switch {
	case heldout:
		return SideTest
	case p.validation:
		return SideValidation
	}
	return SideTrain
}

// GroupHash is a group key as it is stored: the first 16 bytes of its SHA-256, in hex.
func GroupHash(key string) string { return shortHex(sha256.Sum256([]byte(key))) }
