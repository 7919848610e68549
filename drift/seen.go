package drift

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Seen is a set of items and their texts, such as those that a release was trained on. It takes 16 bytes per item: the
// first 8 bytes of a SHA-256 over the id, and the first 8 bytes of a SHA-256 over the group hash. With a million ids
// and a million groups, the probability that any of a million lookups matches falsely is one in ten million. The zero
// value is empty. One goroutine fills a Seen; afterwards any goroutine may read it.
type Seen struct {
	ids, groups []uint64
	sorted      bool
}

// Add adds an item and its group.
func (s *Seen) Add(id, group string) {
	if id != "" {
		s.ids = append(s.ids, short(id))
	}
	if group != "" {
		s.groups = append(s.groups, short(group))
	}
	s.sorted = false
}

// Len returns the number of ids or of groups, whichever is larger.
func (s *Seen) Len() int { return max(len(s.ids), len(s.groups)) }

// Has reports whether the item, or a text of its group, is in the set. Call it after Sort, MarshalBinary or
// UnmarshalBinary.
func (s *Seen) Has(id, group string) bool { return s.HasItem(id) || s.HasGroup(group) }

// HasItem reports whether the item is in the set, whatever its text.
func (s *Seen) HasItem(id string) bool {
	_, ok := slices.BinarySearch(s.ids, short(id))
	return ok
}

// HasGroup reports whether a text of the group is in the set.
func (s *Seen) HasGroup(group string) bool {
	_, ok := slices.BinarySearch(s.groups, short(group))
	return ok && group != ""
}

func short(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:8])
}

// MarshalBinary writes a version byte, the number of ids, the ids and the groups, each list sorted and without
// duplicates.
func (s *Seen) MarshalBinary() ([]byte, error) {
	s.Sort()
	out := make([]byte, 0, 5+8*(len(s.ids)+len(s.groups)))
	out = append(out, 1)
	out = binary.BigEndian.AppendUint32(out, uint32(len(s.ids)))
	for _, list := range [][]uint64{s.ids, s.groups} {
		for _, v := range list {
			out = binary.BigEndian.AppendUint64(out, v)
		}
	}
	return out, nil
}

// Sort sorts the lists, as Has requires. It must be called again after an Add.
func (s *Seen) Sort() {
	if s.sorted {
		return
	}
	slices.Sort(s.ids)
	slices.Sort(s.groups)
	s.ids, s.groups, s.sorted = slices.Compact(s.ids), slices.Compact(s.groups), true
}

// UnmarshalBinary reads the format of MarshalBinary.
func (s *Seen) UnmarshalBinary(b []byte) error {
	if len(b) < 5 || b[0] != 1 || (len(b)-5)%8 != 0 {
		return errors.New("the record of a release's training items is damaged")
	}
	n := int(binary.BigEndian.Uint32(b[1:5]))
	all := make([]uint64, 0, (len(b)-5)/8)
	for b = b[5:]; len(b) > 0; b = b[8:] {
		all = append(all, binary.BigEndian.Uint64(b))
	}
	if n > len(all) {
		return errors.New("the record of a release's training items is damaged")
	}
	s.ids, s.groups, s.sorted = all[:n:n], all[n:], false
	s.Sort()
	return nil
}

// AddLines adds the items of an external training file in JSON Lines. Each line has an id, text columns, or both. It
// returns an error if no line has either: the items could not be recognized, and would count as unseen.
func (s *Seen) AddLines(r io.Reader, group, columns []string) error {
	before, n, empty := len(s.ids)+len(s.groups), 0, true
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxHeldoutLine)
	for lines.Scan() {
		n++
		line := trimLine(lines.Bytes(), n)
		if len(line) == 0 {
			continue
		}
		empty = false
		id, text, err := readEntry(line, columns)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		hash := ""
		if key := GroupKey(text, group); key != "" {
			hash = GroupHash(key)
		}
		s.Add(id, hash)
	}
	if err := lines.Err(); err != nil {
		return lineError(err, n+1)
	}
	if !empty && len(s.ids)+len(s.groups) == before {
		return fmt.Errorf("no line has an id or a text in the columns %q: add one of them", columns)
	}
	return nil
}
