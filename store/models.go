package store

import (
	"errors"
	"fmt"
	"time"
)

// Model is one row of the table of models. The daemon defines the JSON fields; the store does not interpret them.
type Model struct {
	Name     string
	Champion string // digest of the serving release, "" before the first
	Previous string // digest of the release that Champion replaced
	Applied  int64  // number of the last change that an evaluation has published
	Monitor  string // JSON: state of the sequential tests
	Baseline string // JSON: the champion's figures at its promotion, or when they were measured again
	Info     string // fingerprint of all current items with their texts and labels
	Intent   string // JSON: the armed decision that waits
	Force    string // JSON: the forced retrain that waits
	Hold     string // JSON: why no run may start
	Shadow   string // JSON: state of the shadow policy
	Serving  string // JSON: the last known state of the service
	TestSet  string // digest of the user's own test set that determines the held-out items, "" for none
}

// Model returns a model's row. For an unknown model it returns the zero row with its name.
func (t *Tx) Model(name string) (Model, error) {
	m := Model{Name: name}
	err := t.tx.QueryRowContext(t.ctx,
		`select champion, previous, applied, monitor, baseline, info, intent, force, hold, shadow, testset, serving from models where model = ?`,
		name).
		Scan(&m.Champion, &m.Previous, &m.Applied, &m.Monitor, &m.Baseline, &m.Info, &m.Intent, &m.Force, &m.Hold, &m.Shadow,
			&m.TestSet, &m.Serving)
	if errors.Is(noRows(err), ErrNotFound) {
		return m, nil
	}
	return m, err
}

// ModelField names a column that SetModel may write.
type ModelField string

// The fields of a model that are written separately.
const (
	Champion ModelField = "champion"
	Previous ModelField = "previous"
	Applied  ModelField = "applied"
	Monitor  ModelField = "monitor"
	Baseline ModelField = "baseline"
	Info     ModelField = "info"
	Intent   ModelField = "intent"
	Force    ModelField = "force"
	Hold     ModelField = "hold"
	Shadow   ModelField = "shadow"
	TestSet  ModelField = "testset"
	Serving  ModelField = "serving"
)

// SetModel writes one field and keeps the others, because the loop, a run and a command write different fields at the
// same time.
func (t *Tx) SetModel(name string, field ModelField, value any) error {
	return t.exec(fmt.Sprintf(`insert into models (model, %[1]s) values (?, ?) on conflict (model) do update set %[1]s = excluded.%[1]s`,
		field), name, value)
}

// Prediction is one cached answer of a release for an item's text.
type Prediction struct {
	Item     string
	TextHash string
	Answers  map[string]string
	// Confidence of the gating answer, 0 if the service returns none.
	Confidence float64
	At         time.Time // when it was answered; stored, but not returned by Prediction and Predictions
}

// PutPrediction caches an answer.
func (t *Tx) PutPrediction(model, release string, p Prediction) error {
	return t.exec(`insert into predictions (model, release, item, text_hash, answers, confidence, at) values (?, ?, ?, ?, ?, ?, ?)
		on conflict do update set answers = excluded.answers, confidence = excluded.confidence, at = excluded.at`,
		model, release, p.Item, p.TextHash, encode(p.Answers), p.Confidence, stamp(p.At))
}

// DropPredictions deletes the answers of a release whose files are deleted.
func (t *Tx) DropPredictions(model, release string) error {
	return t.exec(`delete from predictions where model = ? and release = ?`, model, release)
}

// DropPredictionsSince deletes the answers that a release gave at a time or later.
func (t *Tx) DropPredictionsSince(model, release string, since time.Time) error {
	return t.exec(`delete from predictions where model = ? and release = ? and at >= ?`, model, release, stamp(since))
}

// Prediction returns one cached answer, ErrNotFound if there is none.
func (t *Tx) Prediction(model, release, item, textHash string) (Prediction, error) {
	p := Prediction{Item: item, TextHash: textHash}
	var answers string
	err := t.tx.QueryRowContext(t.ctx,
		`select answers, confidence from predictions where model = ? and release = ? and item = ? and text_hash = ?`, model,
		release, item, textHash).Scan(&answers, &p.Confidence)
	if err != nil {
		return p, noRows(err)
	}
	p.Answers, err = decodeMap(answers)
	return p, err
}

// Predictions calls f for each cached answer of a release.
func (t *Tx) Predictions(model, release string, f func(Prediction)) error {
	return t.each(`select item, text_hash, answers, confidence from predictions where model = ? and release = ?`,
		[]any{model, release}, func(scan func(...any) error) error {
			var p Prediction
			var answers string
			if err := scan(&p.Item, &p.TextHash, &answers, &p.Confidence); err != nil {
				return err
			}
			var err error
			if p.Answers, err = decodeMap(answers); err == nil {
				f(p)
			}
			return err
		})
}
