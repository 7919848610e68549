package drift

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// HeldoutConfig defines which items are never trained on, so that releases can be measured on them.
type HeldoutConfig struct {
	// Share is the share of the items that is held out, above 0 and at most 50%; duplicates count as one. Default 15%.
	Share unit.Percent `yaml:"share"`
	// Group lists the text columns that identify duplicates: items with the same normalised text in them are held out
	// together or not at all. Default: all text columns.
	Group []string `yaml:"group"`
	// SaltFile is a file with the secret key of the hash that selects the items; it is created if it is missing. Default:
	// models/MODEL/split-salt in the state directory. Another key selects other items, so that earlier figures can no
	// longer be compared.
	SaltFile string `yaml:"salt_file"`
	// File is a test set of your own in JSON Lines: its items, found by id or by text, are held out instead of a share.
	File string `yaml:"file"`
	// Validation is the share of all items that an export writes to validation.jsonl instead of train.jsonl; default 10%.
	Validation *unit.Percent `yaml:"validation"`
}

// The default shares.
const (
	DefaultHeldoutShare    = 0.15
	DefaultValidationShare = 0.10
)

// WithDefaults returns the configuration with defaults for the keys that are not set.
func (c HeldoutConfig) WithDefaults() HeldoutConfig {
	if c.Share == 0 {
		c.Share = DefaultHeldoutShare
	}
	if c.Validation == nil {
		c.Validation = new(unit.Percent(DefaultValidationShare))
	}
	return c
}

// Validate reports errors; call it after WithDefaults.
func (c HeldoutConfig) Validate() check.Problems {
	var p check.Problems
	if s := float64(c.Share); !(s > 0 && s <= 0.5) { // in this form NaN is refused too
		p.Errorf("share", "hold out between 1% and 50%; 15% is usual", "held-out share %v is not more than 0 and at most 50%%",
			c.Share)
	}
	if v := c.Validation; v != nil && !(*v >= 0 && *v <= 0.4) {
		p.Errorf("validation", "10% is usual; with 0% no validation file is written",
			"validation share %v is not between 0 and 40%%", *v)
	}
	seen := map[string]bool{}
	for _, column := range c.Group {
		switch {
		case strings.TrimSpace(column) == "":
			p.Errorf("group", "name a text column, or remove group to use all text columns", "empty column name")
		case seen[column]:
			p.Errorf("group", "name it once", "column %q is named twice", column)
		}
		seen[column] = true
	}
	return p
}

// Membership decides which groups are held out. The decision depends only on the salt, the share and the group key,
// never on a label, so it does not change when items are relabelled, added, deleted or exported again. Safe for
// concurrent use.
type Membership struct {
	share float64
	salt  []byte
}

// NewMembership returns the membership for a salt and a share in [0, 1].
func NewMembership(salt []byte, share float64) Membership {
	return Membership{share: share, salt: slices.Clone(salt)}
}

// Heldout reports whether a group is held out: whether the first 8 bytes of HMAC-SHA256(salt, SHA-256(key)), as a
// fraction of 2^64, are below the share.
func (m Membership) Heldout(groupKey string) bool {
	return m.fraction(sha256.Sum256([]byte(groupKey))) < m.share
}

// fraction maps a group to a fixed number in [0, 1). Its argument is the hash of the key, so that a long text is hashed
// only once.
func (m Membership) fraction(group [sha256.Size]byte) float64 {
	mac := hmac.New(sha256.New, m.salt)
	mac.Write(group[:]) // a hash never fails to write
	return float64(binary.BigEndian.Uint64(mac.Sum(nil))) / math.Exp2(64)
}

// GroupKey returns the text that identifies duplicates. It joins the named columns, or all columns in the order of
// their names, in NFC and lower case with white space collapsed: items that differ only in such details count as
// duplicates. If the named columns are blank, the other columns are used; otherwise thousands of items without a title
// would be one group.
func GroupKey(text map[string]string, columns []string) string {
	if key := joinNormalized(text, columns); key != "" {
		return key
	}
	return joinNormalized(text, slices.Sorted(maps.Keys(text)))
}

// joinNormalized joins the normalized texts of the columns that are not blank, so that null, missing and "" are
// equivalent.
func joinNormalized(text map[string]string, columns []string) string {
	var parts []string
	for _, column := range columns {
		if part := normalize(text[column]); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "\x1f") // distinguishes "a b"+"c" from "a"+"b c"
}

// TextHash returns a hash that identifies an item's exact text: the first 16 bytes of a SHA-256 over column names and
// contents, in hex. Cached answers are stored under this hash, so that an edited text is scored again.
func TextHash(text map[string]string) string {
	var b []byte
	for _, column := range slices.Sorted(maps.Keys(text)) {
		for _, part := range []string{column, text[column]} {
			b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
			b = append(b, part...)
		}
	}
	return shortHex(sha256.Sum256(b))
}

// shortHex returns the first 16 bytes of a hash in hex.
func shortHex(sum [sha256.Size]byte) string { return hex.EncodeToString(sum[:16]) }
