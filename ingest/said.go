package ingest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/watch"
)

// newStatement returns an event with only the parts that must be applied, or nil if there are none. A part is the
// text, the label of a target, or the deletion. When a file is read again, only new parts are applied. newStatement
// counts how often each part occurs for the item: a part is new once it has occurred more often than in the whole
// previous pass over the file. An old part is applied again if it follows a new part about the same target, because the
// last part in the file wins.
func (x *transaction) newStatement(e watch.Event) (*watch.Event, error) {
	if e.File == "" {
		return &e, nil
	}
	row, err := x.t.Said(x.model, e.File, e.Item)
	if err != nil {
		return nil, err
	}
	if row.Reading != e.Reading {
		if row.Reading != 0 {
			row.Digest = "" // not needed: Now has all parts of the previous pass
		}
		row.Reading, row.Former, row.Now = e.Reading, row.Now, ""
	}
	said := pass{former: parseCounts(row.Former), now: parseCounts(row.Now), again: e.Again}
	if row.Digest != "" { // the first version of retraind stored only the last event
		says := statementDigest(e)
		said.last, said.same = true, row.Digest == says
		row.Digest = says
	}
	next, has := said.filter(e)
	row.Now = said.now.String()
	if err := x.t.Say(x.model, e.File, e.Item, row); err != nil || !has {
		return nil, err
	}
	return &next, nil
}

// pass is the state of one pass over a file, for one item.
type pass struct {
	former, now counts // how often each part occurred in the previous pass, and in this one
	again       bool   // the file is read again from its start
	last, same  bool   // last: only the last event of the previous pass is known; same: this event equals it
}

// filter counts the parts of an event and returns the event with only those parts that must be applied.
func (p *pass) filter(e watch.Event) (next watch.Event, has bool) {
	next = e
	next.Text, next.Labels, next.Unset, next.Delete = nil, nil, nil, false
	if e.Delete {
		next.Delete = p.counts("", "delete")
	}
	if e.Text != nil && p.counts("text", drift.TextHash(e.Text)) {
		next.Text = e.Text
	}
	for target, label := range e.Labels {
		if p.counts("label "+target, label) {
			if next.Labels == nil {
				next.Labels = watch.Labels{}
			}
			next.Labels[target] = label
		}
	}
	for _, target := range e.Unset {
		if p.counts("label "+target, "\x00unset") {
			next.Unset = append(next.Unset, target)
		}
	}
	return next, next.Delete || next.Text != nil || len(next.Labels)+len(next.Unset) > 0
}

// newMark is the prefix of entries which record that this pass contained a new part about a subject (see pass.counts).
const newMark = "!"

// counts counts a part and reports whether it must be applied. The parameter subject is what the part is about: "text",
// "label " and the name of a target, or "" for the deletion of the item.
func (p *pass) counts(subject, says string) bool {
	part := partDigest(subject, says)
	p.now[part]++
	if !p.again {
		return true
	}
	mark := newMark + partDigest(subject, "")
	fresh := p.now[part] > p.former[part]
	if p.last {
		fresh = !p.same
	}
	if fresh {
		p.now[mark] = 1
		return true
	}
	if subject == "" { // a deletion is applied again if it follows any new part about the item
		for entry := range p.now {
			if strings.HasPrefix(entry, newMark) {
				return true
			}
		}
	}
	return p.now[mark] > 0
}

// partDigest returns a digest that identifies a part of an event.
func partDigest(subject, says string) string {
	sum := sha256.Sum256([]byte(subject + "\x00" + says))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// counts maps each part to its number of occurrences. It is stored as text: "a b*2" means once a and twice b.
type counts map[string]int

func parseCounts(text string) counts {
	out := counts{}
	for entry := range strings.FieldsSeq(text) {
		part, times, _ := strings.Cut(entry, "*")
		n, err := strconv.Atoi(cmp.Or(times, "1"))
		if err == nil {
			out[part] = n
		}
	}
	return out
}

func (c counts) String() string {
	var b strings.Builder
	for _, part := range slices.Sorted(maps.Keys(c)) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(part)
		if n := c[part]; n != 1 {
			fmt.Fprintf(&b, "*%d", n)
		}
	}
	return b.String()
}

// statementDigest computes the digest of an event without its time and author, in the format of retraind's first
// version.
func statementDigest(e watch.Event) string {
	f := drift.Fingerprint{}
	says := map[string]string{"delete": fmt.Sprint(e.Delete)}
	for target, label := range e.Labels {
		says["label "+target] = label
	}
	for _, target := range e.Unset {
		says["unset "+target] = ""
	}
	hash := ""
	if e.Text != nil {
		hash = drift.TextHash(e.Text)
	}
	f.Toggle(e.Item, hash, says)
	return f.String()
}
