package store

import (
	"errors"
	"time"
)

// Run is one retraining. Its Plan is fixed when the run is created; its Outcome is empty until the run has ended.
type Run struct {
	ID       string
	Model    string
	Pipeline string
	Trigger  string // why it was started, in one sentence
	Forced   bool
	State    RunState
	Outcome  string // a policy.Outcome
	Reason   string
	Info     string // digest of all labels when the run was decided
	Plan     string // JSON
	Result   string // JSON
	Cancel   string // who asked to cancel it and why
	Created  time.Time
	Started  time.Time
	Ended    time.Time
}

// AddRun stores a run unless one with its id exists, and reports whether the id was new.
func (t *Tx) AddRun(r Run) (bool, error) {
	res, err := t.tx.ExecContext(t.ctx,
		`insert into runs (id, model, pipeline, trigger, forced, state, info, plan, created) values (?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (id) do nothing`, r.ID, r.Model, r.Pipeline, r.Trigger, r.Forced, r.State, r.Info, r.Plan, stamp(r.Created))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// StartRun marks a queued run as running, and returns false if it was not queued.
func (t *Tx) StartRun(id string, now time.Time) (bool, error) {
	res, err := t.tx.ExecContext(t.ctx, `update runs set state = ?, started = ? where id = ? and state = ?`, RunRunning,
		stamp(now), id, RunQueued)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// EndRun stores a run's outcome. If the run had already ended, it changes nothing and returns false.
func (t *Tx) EndRun(id, outcome, reason, result string, now time.Time) (bool, error) {
	res, err := t.tx.ExecContext(t.ctx,
		`update runs set state = ?, outcome = ?, reason = ?, result = ?, ended = ? where id = ? and state <> ?`,
		RunEnded, outcome, reason, result, stamp(now), id, RunEnded)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// CancelRun stores a request to cancel a run. It returns ErrNotFound if the run does not exist or has ended.
func (t *Tx) CancelRun(id, by string) error {
	res, err := t.tx.ExecContext(t.ctx, `update runs set cancel = ? where id = ? and state <> ?`, by, id, RunEnded)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return ErrNotFound
	}
	return nil
}

const runColumns = `select id, model, pipeline, trigger, forced, state, outcome, reason, info, plan, result, cancel, created, started, ended from runs `

// ErrSeveral means that a run id suffix matches more than one run.
var ErrSeveral = errors.New("run id suffix is ambiguous")

// Run returns one run by its id or by a suffix of at least four characters: ErrNotFound if none matches,
// ErrSeveral if the suffix matches more than one.
func (t *Tx) Run(id string) (Run, error) {
	// The suffix is compared without LIKE, because a typed % or _ must not match other characters.
	rs, err := t.runs(runColumns+
		`where id = ?1 or (length(?1) >= 4 and substr(id, -length(?1)) = lower(?1)) order by id = ?1 desc limit 2`, id)
	switch {
	case err != nil:
		return Run{}, err
	case len(rs) == 0:
		return Run{}, ErrNotFound
	case len(rs) == 2 && rs[0].ID != id:
		return Run{}, ErrSeveral
	}
	return rs[0], nil
}

// Runs lists the runs of a model, or of all models if model is "", newest first.
func (t *Tx) Runs(model string, limit int) ([]Run, error) {
	return t.runs(runColumns+`where model = ? or ? = '' order by created desc, id desc limit ?`, model, model, limit)
}

// OpenRuns lists the runs that have not ended, oldest first.
func (t *Tx) OpenRuns() ([]Run, error) {
	return t.runs(runColumns+`where state <> ? order by created, id`, RunEnded)
}

func (t *Tx) runs(query string, args ...any) ([]Run, error) {
	var out []Run
	err := t.each(query, args, func(scan func(...any) error) error {
		var r Run
		var created, started, ended string
		if err := scan(&r.ID, &r.Model, &r.Pipeline, &r.Trigger, &r.Forced, &r.State, &r.Outcome, &r.Reason, &r.Info, &r.Plan,
			&r.Result, &r.Cancel, &created, &started, &ended); err != nil {
			return err
		}
		r.Created, r.Started, r.Ended = unstamp(created), unstamp(started), unstamp(ended)
		out = append(out, r)
		return nil
	})
	return out, err
}

// Step is one attempt of one action of a run; Ord is the action's place in the run's journal.
type Step struct {
	Run     string
	Ord     int
	Name    string
	Attempt int
	Kind    string
	State   StepState
	Detail  string
	Started time.Time
	Ended   time.Time
}

// PutStep stores the start or end of a step. If the step is repeated, its first start time is kept.
func (t *Tx) PutStep(s Step) error {
	return t.exec(`insert into steps (run, ord, name, attempt, kind, state, detail, started, ended) values (?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (run, ord, attempt) do update set kind = excluded.kind, state = excluded.state,
		detail = excluded.detail, ended = excluded.ended`,
		s.Run, s.Ord, s.Name, s.Attempt, s.Kind, s.State, s.Detail, stamp(s.Started), stamp(s.Ended))
}

// Steps lists a run's steps in the order they were begun.
func (t *Tx) Steps(run string) ([]Step, error) {
	var out []Step
	err := t.each(`select run, ord, name, attempt, kind, state, detail, started, ended from steps where run = ? order by ord, attempt`,
		[]any{run}, func(scan func(...any) error) error {
			var s Step
			var started, ended string
			if err := scan(&s.Run, &s.Ord, &s.Name, &s.Attempt, &s.Kind, &s.State, &s.Detail, &started, &ended); err != nil {
				return err
			}
			s.Started, s.Ended = unstamp(started), unstamp(ended)
			out = append(out, s)
			return nil
		})
	return out, err
}

// KindCarried is the kind of a step whose result a run copied from the run that it repeats.
const KindCarried = "carried"

// StepTimes returns how long each step took in a pipeline's newest ended runs, keyed by step name. A step's time lasts
// from the start of its first attempt to the end of the successful one. Steps that did not succeed, or whose results
// were copied from another run, are left out.
func (t *Tx) StepTimes(model, pipeline string, runs int) (map[string][]time.Duration, error) {
	out := map[string][]time.Duration{}
	err := t.each(`select s.name, min(s.started), max(case when s.state = ? then s.ended else '' end) from steps s
		join (select id from runs where model = ? and pipeline = ? and state = ? order by created desc limit ?) r on r.id = s.run
		where s.kind <> ? group by s.run, s.name`, []any{
		StepOK, model, pipeline, RunEnded, runs, KindCarried,
	}, func(scan func(...any) error) error {
		var name, started, ended string
		if err := scan(&name, &started, &ended); err != nil {
			return err
		}
		if ended != "" {
			out[name] = append(out[name], unstamp(ended).Sub(unstamp(started)))
		}
		return nil
	})
	return out, err
}
