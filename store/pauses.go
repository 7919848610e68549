package store

import "time"

// Everything is the model name of a pause that applies to all models.
const Everything = ""

// Pause is a person's order that no run starts automatically.
type Pause struct {
	Model  string // Everything means all models
	By     string
	Reason string
	Since  time.Time
	Until  time.Time // zero: until it is ended by hand
}

// PutPause stores a pause and replaces an existing one.
func (t *Tx) PutPause(p Pause) error {
	return t.exec(`insert or replace into pauses (model, by, reason, since, until) values (?, ?, ?, ?, ?)`, p.Model, p.By,
		p.Reason, stamp(p.Since), stamp(p.Until))
}

// DropPause ends a pause.
func (t *Tx) DropPause(model string) error {
	return t.exec(`delete from pauses where model = ?`, model)
}

// Pauses lists the pauses that apply to a model, including those for all models and expired ones.
func (t *Tx) Pauses(model string) ([]Pause, error) {
	var all []Pause
	err := t.each(`select model, by, reason, since, until from pauses where model in (?, ?) order by model`,
		[]any{model, Everything}, func(scan func(...any) error) error {
			var p Pause
			var since, until string
			if err := scan(&p.Model, &p.By, &p.Reason, &since, &until); err != nil {
				return err
			}
			p.Since, p.Until = unstamp(since), unstamp(until)
			all = append(all, p)
			return nil
		})
	return all, err
}
