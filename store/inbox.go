package store

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Cursors returns the positions whose source's name is name, or begins with it and a slash, by the whole name.
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

// ForgetCursor forgets a position.
func (t *Tx) ForgetCursor(model, source string) error {
	return t.exec(`delete from cursors where model = ? and source = ?`, model, source)
}

// FirstSight remembers an event by its key and says whether it had not been seen before.
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

// Said is what a file said about an item. Its texts belong to the caller.
type Said struct {
	Reading     int64  // the pass over the file that said Now
	Former, Now string // what the pass before it said, and what it has said so far
	Digest      string // of the last statement, in rows of the first version; else ""
}

// Said returns what a file said about an item, the zero Said when it said nothing.
func (t *Tx) Said(model, file, item string) (s Said, err error) {
	err = t.tx.QueryRowContext(t.ctx,
		`select reading, former, now, digest from said where model = ? and file = ? and item = ?`, model, file, item).
		Scan(&s.Reading, &s.Former, &s.Now, &s.Digest)
	if errors.Is(noRows(err), ErrNotFound) {
		return Said{}, nil
	}
	return s, err
}

// Say keeps what a file says about an item.
func (t *Tx) Say(model, file, item string, s Said) error {
	return t.exec(`insert into said (model, file, item, reading, former, now, digest) values (?, ?, ?, ?, ?, ?, ?)
		on conflict do update set reading = excluded.reading, former = excluded.former, now = excluded.now, digest = excluded.digest`,
		model, file, item, s.Reading, s.Former, s.Now, s.Digest)
}

// ForgetSaid forgets what a file said.
func (t *Tx) ForgetSaid(model, file string) error {
	return t.exec(`delete from said where model = ? and file = ?`, model, file)
}

// RenameSaid gives what a file said to its new name.
func (t *Tx) RenameSaid(model, from, to string) error {
	if err := t.ForgetSaid(model, to); err != nil {
		return err
	}
	return t.exec(`update said set file = ? where model = ? and file = ?`, to, model, from)
}

// Early is a label that waits for its item. Event belongs to the daemon; the store does not look into it.
type Early struct {
	Source string
	Event  json.RawMessage
}

// PutEarly keeps a label for an item that nobody has brought yet.
func (t *Tx) PutEarly(model, item string, e Early, now time.Time) error {
	return t.exec(`insert into early (model, item, source, event, stored) values (?, ?, ?, ?, ?)
		on conflict do update set source = excluded.source, event = excluded.event, stored = excluded.stored`,
		model, item, e.Source, string(e.Event), stamp(now))
}

// Early returns the label that waits for an item, ErrNotFound if none does.
func (t *Tx) Early(model, item string) (Early, error) {
	var e Early
	var event string
	err := t.tx.QueryRowContext(t.ctx, `select source, event from early where model = ? and item = ?`, model,
		item).Scan(&e.Source, &event)
	e.Event = json.RawMessage(event)
	return e, noRows(err)
}

// ForgetEarly forgets it.
func (t *Tx) ForgetEarly(model, item string) error {
	return t.exec(`delete from early where model = ? and item = ?`, model, item)
}

// CountEarly counts the labels of a model that wait for their items.
func (t *Tx) CountEarly(model string) (n int, err error) {
	err = t.tx.QueryRowContext(t.ctx, `select count(*) from early where model = ?`, model).Scan(&n)
	return n, err
}

// Request is one that was carried out, with what its sender was told.
type Request struct {
	ID, Verb, Model string
	Answer          json.RawMessage
}

// AddRequest keeps a request that is carried out in the same transaction or right after it.
func (t *Tx) AddRequest(r Request, now time.Time) error {
	return t.exec(`insert into requests (id, verb, model, answer, at) values (?, ?, ?, ?, ?) on conflict do update set answer = excluded.answer`,
		r.ID, r.Verb, r.Model, string(r.Answer), stamp(now))
}

// ForgetRequest forgets one that was refused after all.
func (t *Tx) ForgetRequest(id string) error { return t.exec(`delete from requests where id = ?`, id) }

// RequestOf returns a request by its sender's name for it, ErrNotFound if there was none.
func (t *Tx) RequestOf(id string) (Request, error) {
	r := Request{ID: id}
	var answer string
	err := t.tx.QueryRowContext(t.ctx, `select verb, model, answer from requests where id = ?`, id).Scan(&r.Verb, &r.Model,
		&answer)
	r.Answer = json.RawMessage(answer)
	return r, noRows(err)
}

// PruneInbox forgets events and requests from before a time; a copy that comes later counts as new.
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
