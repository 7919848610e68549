package store

import "errors"

// PutTrained stores the set of items that a run trained on; the caller defines its format.
func (t *Tx) PutTrained(model, run string, seen []byte) error {
	return t.exec(`insert into trained (model, run, seen) values (?, ?, ?) on conflict do update set seen = excluded.seen`,
		model, run, seen)
}

// Trained returns what PutTrained stored for a run; nil if nothing is stored.
func (t *Tx) Trained(model, run string) ([]byte, error) {
	var seen []byte
	err := noRows(t.tx.QueryRowContext(t.ctx, `select seen from trained where model = ? and run = ?`, model,
		run).Scan(&seen))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return seen, err
}

// DropTrained deletes the stored set of a run, because the run's release can no longer serve.
func (t *Tx) DropTrained(model, run string) error {
	return t.exec(`delete from trained where model = ? and run = ?`, model, run)
}
