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

// newStatement returns the event with what has effect of it, nil if nothing has. An event of a file that is read again
// has effect only where the file did not say it in the pass before: each part of it (the text, the label of a target) is
// counted, so that a part is new when it is there more often than before. What was said before counts again behind a new
// statement about the same target: then it is the file's last word.
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
			row.Digest = "" // all that the pass before said is in Now
		}
		row.Reading, row.Former, row.Now = e.Reading, row.Now, ""
	}
	said := pass{former: parseCounts(row.Former), now: parseCounts(row.Now), again: e.Again}
	if row.Digest != "" { // the first version kept the last statement alone
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

// pass is a pass over a file, as far as it concerns one item.
type pass struct {
	former, now counts // how often each part was said in the pass before, and in this one
	again       bool   // the file is read again from its start
	last, same  bool   // only the last statement of the pass before is known, and whether this one is the same
}

// filter counts the parts of an event and returns it with those that have effect.
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

// newMark begins the entries that say about what something new was said in this pass.
const newMark = "!"

// counts counts a part and tells whether it has effect. subject is what it is about, "" the item as a whole.
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
	if subject == "" { // the item goes again where anything new was said about it
		for entry := range p.now {
			if strings.HasPrefix(entry, newMark) {
				return true
			}
		}
	}
	return p.now[mark] > 0
}

// partDigest names a part of a statement.
func partDigest(subject, says string) string {
	sum := sha256.Sum256([]byte(subject + "\x00" + says))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// counts are how often parts were said. They are stored as "part part*2".
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

// statementDigest is a digest of what an event says, without its time and author, as the first version stored it.
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
