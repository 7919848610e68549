package store

import "time"

// Report is one stored report; Body is its JSON, and the other fields repeat parts of it for queries.
type Report struct {
	N        int64
	Model    string
	At       time.Time
	Seq      int64
	State    string
	Accuracy float64
	Body     string
}

// AddReport appends a report.
func (t *Tx) AddReport(r Report) error {
	return t.exec(`insert into reports (model, at, seq, state, accuracy, body) values (?, ?, ?, ?, ?, ?)`, r.Model,
		stamp(r.At), r.Seq, r.State, r.Accuracy, r.Body)
}

// Reports returns a model's newest reports since a time, at most limit of them, oldest first.
func (t *Tx) Reports(model string, since time.Time, limit int) ([]Report, error) {
	var out []Report
	err := t.each(`select n, model, at, seq, state, accuracy, body from
		(select * from reports where model = ? and at >= ? order by n desc limit ?) order by n`,
		[]any{model, stamp(since), limit}, func(scan func(...any) error) error {
			var r Report
			var at string
			if err := scan(&r.N, &r.Model, &at, &r.Seq, &r.State, &r.Accuracy, &r.Body); err != nil {
				return err
			}
			r.At = unstamp(at)
			out = append(out, r)
			return nil
		})
	return out, err
}

// Decision is one stored decision; Body is its JSON. Run is the run that the decision started, if any.
type Decision struct {
	N       int64
	Model   string
	At      time.Time
	Verdict string
	Reason  string
	Run     string
	Body    string
}

// AddDecision appends a decision and returns its number.
func (t *Tx) AddDecision(d Decision) (int64, error) {
	res, err := t.tx.ExecContext(t.ctx,
		`insert into decisions (model, at, verdict, reason, run, body) values (?, ?, ?, ?, ?, ?)`, d.Model, stamp(d.At),
		d.Verdict, d.Reason, d.Run, d.Body)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// Decisions returns the newest decisions up to a time, at most limit of them, newest first. If model is not "", it
// returns only decisions of that model; if run is not "", only decisions that started that run.
func (t *Tx) Decisions(model, run string, until time.Time, limit int) ([]Decision, error) {
	var out []Decision
	err := t.each(`select n, model, at, verdict, reason, run, body from decisions
		where (model = ? or ? = '') and (run = ? or ? = '') and at <= ? order by n desc limit ?`,
		[]any{model, model, run, run, stamp(until), limit}, func(scan func(...any) error) error {
			var d Decision
			var at string
			if err := scan(&d.N, &d.Model, &at, &d.Verdict, &d.Reason, &d.Run, &d.Body); err != nil {
				return err
			}
			d.At = unstamp(at)
			out = append(out, d)
			return nil
		})
	return out, err
}

// Verdict is a stored decision without its conditions. Run is the run that the decision started, if any.
type Verdict struct {
	At             time.Time
	Verdict        string
	Run            string
	Forced, Urgent bool
}

// Verdicts returns a model's decisions since a time, oldest first.
func (t *Tx) Verdicts(model string, since time.Time) ([]Verdict, error) {
	var out []Verdict
	err := t.each(`select at, verdict, run, ifnull(body ->> 'forced', 0), ifnull(body ->> 'urgent', 0) from decisions
		where model = ? and at >= ? order by n`,
		[]any{model, stamp(since)}, func(scan func(...any) error) error {
			var v Verdict
			var at string
			if err := scan(&at, &v.Verdict, &v.Run, &v.Forced, &v.Urgent); err != nil {
				return err
			}
			v.At = unstamp(at)
			out = append(out, v)
			return nil
		})
	return out, err
}
