package drift

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Side names the exported file that contains an item.
type Side string

// The sides. Training a release uses the validation side too; only the test side measures the release.
const (
	SideTrain      Side = "train"
	SideValidation Side = "validation"
	SideTest       Side = "test"
)

// Split decides which items are held out, and which of the others are for validation. The decision depends only on the
// configured shares, the salt, the item's id and group key, and the user's own file, not on labels, order or other
// items. Safe for concurrent use.
type Split struct {
	members    Membership
	validation float64
	columns    []string // of the group key; nil = all
	file       *HeldoutFile
	saltID     string
}

// NewSplit returns the split of a validated configuration. `file` is nil if the configured share decides.
func NewSplit(c HeldoutConfig, salt []byte, file *HeldoutFile) *Split {
	c = c.WithDefaults()
	id := hmac.New(sha256.New, salt)
	id.Write([]byte("retraind salt id")) // identifies the salt without revealing it
	return &Split{
		members: NewMembership(salt, c.Share.F()), validation: c.Validation.F(), columns: c.Group, file: file,
		saltID: hex.EncodeToString(id.Sum(nil)[:8]),
	}
}

// SaltID returns an id that does not reveal the salt: exports with equal ids were split with the same salt.
func (s *Split) SaltID() string { return s.saltID }

// FileDigest returns the digest of the user's own test set, "" if the configured share decides.
func (s *Split) FileDigest() string {
	if s.file == nil {
		return ""
	}
	return s.file.Digest
}

// Place returns the group of an item and whether it is held out. A side decided by the share must stay the same as long
// as the item exists, even if its text is edited, so the caller stores it. A side decided by a file changes with the
// file (see Follows).
func (s *Split) Place(id string, text map[string]string) (group string, heldout bool) {
	p := s.Find(id, text)
	return p.Group, p.Heldout
}

// Found is the result of Find.
type Found struct {
	Group      string // GroupHash of its group key
	Heldout    bool
	validation bool
}

// Find returns the result of Place together with the side, and hashes the text only once.
func (s *Split) Find(id string, text map[string]string) Found {
	sum := sha256.Sum256([]byte(GroupKey(text, s.columns)))
	at := s.members.fraction(sum)
	// The validation share is at the opposite end of the range from the held-out share, so that changing one share does
	// not move items of the other.
	p := Found{Group: shortHex(sum), Heldout: at < s.members.share, validation: s.validation > 0 && at >= 1-s.validation}
	if s.file != nil {
		p.Heldout = s.file.Has(id, p.Group)
	}
	return p
}

// Follows reports whether a known item is held out: according to the user's current file if there is one, else as
// stored.
func (s *Split) Follows(id, group string, heldout bool) bool {
	if s.file != nil {
		return s.file.Has(id, group)
	}
	return heldout
}

// Side returns the side of the item; `heldout` says whether it is held out now (see Follows).
func (p Found) Side(heldout bool) Side {
	switch {
	case heldout:
		return SideTest
	case p.validation:
		return SideValidation
	}
	return SideTrain
}

// GroupHash returns the stored form of a group key: the first 16 bytes of its SHA-256, in hex.
func GroupHash(key string) string { return shortHex(sha256.Sum256([]byte(key))) }
