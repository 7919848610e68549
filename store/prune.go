package store

import "time"

// PruneHistory deletes the reports and decisions from before `gone`. Of those from before `thin`, which is later, it
// keeps only each model's last one of each hour. It always keeps a model's newest report and the decisions that started
// a run.
func (t *Tx) PruneHistory(thin, gone time.Time) error {
	const hour = `substr(at, 1, 13)`
	for _, statement := range []string{
		`delete from reports where at < ?1 and n not in (select max(n) from reports group by model)
			and (at < ?2 or n not in (select max(n) from reports where at < ?1 group by model, ` + hour + `))`,
		`delete from decisions where at < ?1 and run = ''
			and (at < ?2 or n not in (select max(n) from decisions where at < ?1 group by model, ` + hour + `))`,
	} {
		if err := t.exec(statement, stamp(thin), stamp(gone)); err != nil {
			return err
		}
	}
	return nil
}

// PruneChanges deletes the label changes that were stored before a time and are no longer needed: an evaluation has
// published them, and the training snapshot of the serving release contains them.
func (t *Tx) PruneChanges(before time.Time) error {
	return t.exec(`delete from changes where stored < ? and n <= (
		select min(m.applied, r.seq) from models m join releases r on r.model = m.model and r.digest = m.champion where m.model = changes.model)`,
		stamp(before))
}
