package store

import "errors"

// PutTrained records which items a run trained on; the bytes belong to the caller.
func (t *Tx) PutTrained(model, run string, seen []byte) error {
	return t.exec(`insert into trained (model, run, seen) values (?, ?, ?) on conflict do update set seen = excluded.seen`,
		model, run, seen)
}

// Trained is what PutTrained recorded of a run; nil where nothing is known.
func (t *Tx) Trained(model, run string) ([]byte, error) {
	var seen []byte
	err := noRows(t.tx.QueryRowContext(t.ctx, `select seen from trained where model = ? and run = ?`, model,
		run).Scan(&seen))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return seen, err
}

// DropTrained forgets what a run trained on, once its release cannot serve any more.
func (t *Tx) DropTrained(model, run string) error {
	return t.exec(`delete from trained where model = ? and run = ?`, model, run)
}
