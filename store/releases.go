package store

import "time"

// Release is one trained artifact of a model. Its files are in Path; the store never touches them.
type Release struct {
	Digest  string // sha256:… over its files
	Model   string
	Run     string
	Path    string
	Seq     int64  // last label change in its training data
	Info    string // digest of all labels at its export
	Labels  string // JSON: how many training items had each label
	Metrics string // JSON: what the gate measured
	State   ReleaseState
	Created time.Time
	Pinned  string // JSON: who pinned it, since when and why; "" if it is not pinned
}

// PutRelease stores a release. If a training has produced an artifact that is already stored, only the creation time
// and the pin keep their stored values.
func (t *Tx) PutRelease(r Release) error {
	return t.exec(`insert into releases (digest, model, run, path, seq, info, labels, metrics, state, created) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (model, digest) do update set run = excluded.run, path = excluded.path, seq = excluded.seq, info = excluded.info,
		labels = excluded.labels, metrics = excluded.metrics, state = excluded.state`,
		r.Digest, r.Model, r.Run, r.Path, r.Seq, r.Info, r.Labels, r.Metrics, r.State, stamp(r.Created))
}

// SetPinned pins a release, or unpins it if pinned is "". It reports false if the release does not exist.
func (t *Tx) SetPinned(model, digest, pinned string) (bool, error) {
	res, err := t.tx.ExecContext(t.ctx, `update releases set pinned = ? where model = ? and digest = ?`, pinned, model, digest)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// SetReleaseState sets the state of a release.
func (t *Tx) SetReleaseState(model, digest string, state ReleaseState) error {
	return t.exec(`update releases set state = ? where model = ? and digest = ?`, state, model, digest)
}

const releaseColumns = `select digest, model, run, path, seq, info, labels, metrics, state, created, pinned from releases `

// Release returns one release of a model by digest.
func (t *Tx) Release(model, digest string) (Release, error) {
	rs, err := t.releases(releaseColumns+`where model = ? and digest = ?`, model, digest)
	if err == nil && len(rs) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Release{}, err
	}
	return rs[0], nil
}

// Releases lists a model's releases, newest first.
func (t *Tx) Releases(model string, limit int) ([]Release, error) {
	return t.releases(releaseColumns+`where model = ? order by created desc, digest limit ?`, model, limit)
}

func (t *Tx) releases(query string, args ...any) ([]Release, error) {
	var out []Release
	err := t.each(query, args, func(scan func(...any) error) error {
		var r Release
		var created string
		if err := scan(&r.Digest, &r.Model, &r.Run, &r.Path, &r.Seq, &r.Info, &r.Labels, &r.Metrics, &r.State,
			&created, &r.Pinned); err != nil {
			return err
		}
		r.Created = unstamp(created)
		out = append(out, r)
		return nil
	})
	return out, err
}

// AddDeploy records that a run is about to deploy a release. It reports false if that is already recorded, because the
// step is being repeated.
func (t *Tx) AddDeploy(model, release, run string, kind DeployKind, now time.Time) (bool, error) {
	res, err := t.tx.ExecContext(t.ctx,
		`insert into deploys (model, release, run, kind, at) values (?, ?, ?, ?, ?) on conflict do nothing`, model, release,
		run, kind, stamp(now))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
