package evaluator

import (
	"context"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

// Foreign is the stored finding that the service's answers are not the champion's.
type Foreign struct {
	Since time.Time `json:"since"`
	As    string    `json:"as,omitempty"` // digest of the release that answers, "" if unknown
	Text  string    `json:"text"`
}

// foreign records that a release other than the champion serves. At the first such finding it drops the answers
// received since the last proof that the champion serves, and resets the sequential tests to their state at that time.
// The parameter as is the digest of the serving release, "" if unknown.
func (l *Loop) foreign(ctx context.Context, s *Serving, as, detail string, now time.Time) error {
	if s.Foreign != nil && s.Foreign.As == as {
		return l.saveServing(ctx, s)
	}
	first := s.Foreign == nil
	since := now
	if !first {
		since = s.Foreign.Since
	}
	s.Foreign = &Foreign{Since: since, As: as, Text: detail}
	l.log.Error("the service's answers are not the champion's", "release", text.Digest(s.Champion), "as",
		text.Digest(as), "detail", detail)
	if first {
		l.monitor = nil
	}
	return l.o.Store.Update(ctx, "foreign", func(t *store.Tx) error {
		if first {
			if err := t.DropPredictionsSince(l.name, s.Champion, s.Proved); err != nil {
				return err
			}
			if err := t.SetModel(l.name, store.Monitor, s.Monitor); err != nil {
				return err
			}
		}
		if err := t.SetModel(l.name, store.Serving, mustJSON(s)); err != nil {
			return err
		}
		return l.notify(t, notify.ModelForeign, "", notify.Foreign{Release: s.Champion, As: as, Text: detail})
	})
}

// recognized records that the champion serves again.
func (l *Loop) recognized(ctx context.Context, s *Serving, now time.Time) error {
	since := s.Foreign.Since
	s.Foreign, s.Evidence, s.Proved = nil, 0, now
	l.log.Info("the service's answers are the champion's again", "release", text.Digest(s.Champion))
	if err := l.endHold(ctx, s); err != nil {
		return err
	}
	return l.o.Store.Update(ctx, "recognized", func(t *store.Tx) error {
		if err := t.SetModel(l.name, store.Serving, mustJSON(s)); err != nil {
			return err
		}
		return l.notify(t, notify.ModelRecognized, "", notify.Recognized{Release: s.Champion, Since: since})
	})
}

// endHold removes the hold of a run that could not prove which release serves, because the champion is now proved to
// serve. A person's hold stays.
func (l *Loop) endHold(ctx context.Context, s *Serving) error {
	return l.o.Store.Update(ctx, "hold ends", func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		held, err := ReadHold(row)
		if err != nil || held == nil || !held.OfRun() {
			return err
		}
		if err := t.SetModel(l.name, store.Hold, ""); err != nil {
			return err
		}
		l.log.Info("the hold is over: the champion was proved to serve", "release", text.Digest(s.Champion), "held_by",
			held.By)
		return l.notify(t, notify.ModelResumed, "", notify.Resumed{By: "proof"})
	})
}

func (l *Loop) saveServing(ctx context.Context, s *Serving) error {
	return l.o.Store.Update(ctx, "serving", func(t *store.Tx) error {
		return t.SetModel(l.name, store.Serving, mustJSON(s))
	})
}

// asForeign sets the state of a report to foreign if a release other than the champion serves.
func (s *Serving) asForeign(r *drift.Report) {
	if s == nil || s.Foreign == nil {
		return
	}
	r.State, r.Detail = drift.StateForeign, s.Foreign.Text
}
