package store

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Cursors returns the positions of the source `name` and of all sources whose names begin with `name` and a slash,
// keyed by full name.
func (t *Tx) Cursors(model, name string) (map[string]string, error) {
	out := map[string]string{}
	err := t.each(`select source, position from cursors where model = ? and (source = ? or substr(source, 1, ?) = ?)`,
		[]any{model, name, len(name) + 1, name + "/"}, func(scan func(...any) error) error {
			var source, position string
			if err := scan(&source, &position); err != nil {
				return err
			}
			out[source] = position
			return nil
		})
	return out, err
}

// ForgetCursor deletes a position.
func (t *Tx) ForgetCursor(model, source string) error {
	return t.exec(`delete from cursors where model = ? and source = ?`, model, source)
}

// FirstSight stores the key of an event and reports whether it was new.
func (t *Tx) FirstSight(model, source, key string, now time.Time) (bool, error) {
	res, err := t.tx.ExecContext(t.ctx,
		`insert into seen (model, source, key, stored) values (?, ?, ?, ?) on conflict do nothing`, model, source, key,
		stamp(now))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Said contains a label file's events about an item, in its last two passes. The caller defines the texts' format.
type Said struct {
	Reading     int64  // identifies the pass over the file that produced Now
	Former, Now string // the events of the previous pass, and those of this pass so far
	Digest      string // of the last event, in rows that the first version stored; else ""
}

// Said returns a file's events about an item, the zero Said if there are none.
func (t *Tx) Said(model, file, item string) (s Said, err error) {
	err = t.tx.QueryRowContext(t.ctx,
		`select reading, former, now, digest from said where model = ? and file = ? and item = ?`, model, file, item).
		Scan(&s.Reading, &s.Former, &s.Now, &s.Digest)
	if errors.Is(noRows(err), ErrNotFound) {
		return Said{}, nil
	}
	return s, err
}

// Say stores a file's events about an item.
func (t *Tx) Say(model, file, item string, s Said) error {
	return t.exec(`insert into said (model, file, item, reading, former, now, digest) values (?, ?, ?, ?, ?, ?, ?)
		on conflict do update set reading = excluded.reading, former = excluded.former, now = excluded.now, digest = excluded.digest`,
		model, file, item, s.Reading, s.Former, s.Now, s.Digest)
}

// ForgetSaid deletes a file's stored events.
func (t *Tx) ForgetSaid(model, file string) error {
	return t.exec(`delete from said where model = ? and file = ?`, model, file)
}

// RenameSaid moves a file's stored events to the file's new name.
func (t *Tx) RenameSaid(model, from, to string) error {
	if err := t.ForgetSaid(model, to); err != nil {
		return err
	}
	return t.exec(`update said set file = ? where model = ? and file = ?`, to, model, from)
}

// Early contains the labels that events gave to an item that is not known yet. The caller defines the format of Event.
type Early struct {
	Source string
	Event  json.RawMessage
}

// PutEarly buffers the labels of an unknown item, and replaces those that were buffered before.
func (t *Tx) PutEarly(model, item string, e Early, now time.Time) error {
	return t.exec(`insert into early (model, item, source, event, stored) values (?, ?, ?, ?, ?)
		on conflict do update set source = excluded.source, event = excluded.event, stored = excluded.stored`,
		model, item, e.Source, string(e.Event), stamp(now))
}

// Early returns the buffered labels of an item, ErrNotFound if there are none.
func (t *Tx) Early(model, item string) (Early, error) {
	var e Early
	var event string
	err := t.tx.QueryRowContext(t.ctx, `select source, event from early where model = ? and item = ?`, model,
		item).Scan(&e.Source, &event)
	e.Event = json.RawMessage(event)
	return e, noRows(err)
}

// ForgetEarly deletes the buffered labels of an item.
func (t *Tx) ForgetEarly(model, item string) error {
	return t.exec(`delete from early where model = ? and item = ?`, model, item)
}

// CountEarly counts the unknown items of a model for which labels are buffered.
func (t *Tx) CountEarly(model string) (n int, err error) {
	err = t.tx.QueryRowContext(t.ctx, `select count(*) from early where model = ?`, model).Scan(&n)
	return n, err
}

// Request is a request that was carried out, with the answer to its sender.
type Request struct {
	ID, Verb, Model string
	Answer          json.RawMessage
}

// AddRequest stores a request that is carried out in the same transaction or right after it.
func (t *Tx) AddRequest(r Request, now time.Time) error {
	return t.exec(`insert into requests (id, verb, model, answer, at) values (?, ?, ?, ?, ?) on conflict do update set answer = excluded.answer`,
		r.ID, r.Verb, r.Model, string(r.Answer), stamp(now))
}

// ForgetRequest deletes a stored request that was refused later.
func (t *Tx) ForgetRequest(id string) error { return t.exec(`delete from requests where id = ?`, id) }

// RequestOf returns a request by the id that its sender chose, ErrNotFound if there is none.
func (t *Tx) RequestOf(id string) (Request, error) {
	r := Request{ID: id}
	var answer string
	err := t.tx.QueryRowContext(t.ctx, `select verb, model, answer from requests where id = ?`, id).Scan(&r.Verb, &r.Model,
		&answer)
	r.Answer = json.RawMessage(answer)
	return r, noRows(err)
}

// PruneInbox deletes event keys, buffered labels, requests and the records of withdrawn subjects that are older than a
// time. A duplicate that arrives later counts as new.
func (t *Tx) PruneInbox(before time.Time) error {
	for _, table := range strings.Fields("seen early") {
		if err := t.exec(`delete from `+table+` where stored < ?`, stamp(before)); err != nil {
			return err
		}
	}
	if err := t.exec(`delete from stated where item = '' and at < ?`, stamp(before)); err != nil {
		return err
	}
	return t.exec(`delete from requests where at < ?`, stamp(before))
}
