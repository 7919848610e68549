package store

import (
	"errors"
	"time"
)

// Stated is the newest event about a target of an item, among the events that have the sender's time, a subject or an
// alias (see watch.Event). The caller defines the label's format.
type Stated struct {
	Item, Target string // Target "" is the item itself
	At           time.Time
	Subject      string // the object of an annotation tool that the event is about, such as an annotation
	Label        string
}

// State stores the newest event about an item's target.
func (t *Tx) State(model, source string, s Stated) error {
	return t.exec(`insert into stated (model, source, item, target, at, subject, label) values (?, ?, ?, ?, ?, ?, ?)
		on conflict do update set at = excluded.at, subject = excluded.subject, label = excluded.label`,
		model, source, s.Item, s.Target, stamp(s.At), s.Subject, s.Label)
}

// StatedOf returns the newest event about an item's target, the zero Stated if there is none.
func (t *Tx) StatedOf(model, source, item, target string) (Stated, error) {
	s := Stated{Item: item, Target: target}
	var at string
	err := t.tx.QueryRowContext(t.ctx,
		`select at, subject, label from stated where model = ? and source = ? and item = ? and target = ?`,
		model, source, item, target).Scan(&at, &s.Subject, &s.Label)
	if errors.Is(noRows(err), ErrNotFound) {
		return Stated{}, nil
	}
	s.At = unstamp(at)
	return s, err
}

// StatedBy returns the stored events with the given subject, such as an annotation, that are about an item.
func (t *Tx) StatedBy(model, source, subject string) (out []Stated, err error) {
	err = t.each(`select item, target, at, label from stated where model = ? and source = ? and subject = ? and item <> ''
		order by item, target`, []any{model, source, subject}, func(scan func(...any) error) error {
		s := Stated{Subject: subject}
		var at string
		err := scan(&s.Item, &s.Target, &at, &s.Label)
		s.At = unstamp(at)
		out = append(out, s)
		return err
	})
	return out, err
}
