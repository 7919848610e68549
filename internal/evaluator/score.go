package evaluator

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

const (
	scoreBatch = 500 // texts per batch
	// silences is the number of classifier timeouts without an answer after which the loop itself counts as hung.
	silences = 10
)

// score scores the held-out texts that have no answer yet. An error of the service becomes a state of the report, not
// an error of the evaluation.
func (l *Loop) score(ctx context.Context) (int, error) {
	release := l.monitor.Release().Digest
	if release == "" {
		return 0, nil
	}
	waiting := l.monitor.Unscored()
	l.monitor.Service(nil)
	if len(waiting) == 0 {
		l.serviceWarned = time.Time{}
		return 0, nil
	}
	if l.barred() {
		return 0, nil
	}
	named := release // the digest that the service reports for the champion
	if l.serving != nil {
		named = l.serving.Named
	}
	scored, all := 0, len(waiting)
	defer l.setView(func(v *View) { v.Scoring = nil })
	for len(waiting) > 0 {
		if all > scoreBatch {
			l.setView(func(v *View) { v.Scoring = &Scoring{Done: scored, Of: all} })
		}
		batch := waiting[:min(len(waiting), scoreBatch)]
		waiting = waiting[len(batch):]
		texts, err := l.texts(ctx, release, batch)
		if err != nil {
			return scored, err
		}
		var got []store.Prediction
		unfit, example := 0, ""
		serr := l.ask(ctx, texts, func(t serving.Text, a serving.Answer) {
			if a.Release != "" && named != "" && a.Release != named {
				return // another release answers now: its answers are not the champion's
			}
			if a.Format != "" {
				unfit, example = unfit+1, a.Format
			}
			got = append(got, store.Prediction{
				Item: t.Item, TextHash: t.Hash, Answers: a.Values, Confidence: a.Confidence,
				At: time.Now(),
			})
		})
		if ctx.Err() != nil {
			return scored, context.Cause(ctx)
		}
		if unfit > 0 {
			l.log.Warn("the model gave unusable answers, which count as wrong", "answers", unfit,
				"of", len(got), "example", example)
		}
		if len(got) > 0 {
			if err := l.o.Store.Update(ctx, "predictions", func(t *store.Tx) error {
				for _, p := range got {
					if err := t.PutPrediction(l.name, release, p); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return scored, err
			}
		}
		for _, p := range got {
			l.monitor.Answer(p.Item, p.TextHash, p.Answers)
		}
		scored += len(got)
		l.o.Beat()
		if serr != nil {
			if !l.rules.Model.Serving.MayBeAsleep() {
				serr = errors.New(serr.Error()) // drops ErrAsleep: here an unreachable service is a fault
			}
			l.monitor.Service(serr)
			l.warnService("some held-out texts are not scored", "waiting", len(waiting)+len(batch)-len(got), "err", serr)
			return scored, nil
		}
	}
	l.serviceWarned = time.Time{}
	return scored, nil
}

// warnEvery is how often an error of the service that lasts is logged.
const warnEvery = time.Hour

// warnService logs an error of scoring or adopting, unless one was logged less than warnEvery ago without a success
// since.
func (l *Loop) warnService(message string, attrs ...any) {
	if !l.serviceWarned.IsZero() && time.Since(l.serviceWarned) < warnEvery {
		return
	}
	l.serviceWarned = time.Now()
	l.log.Warn(message, attrs...)
}

// ask queries the classifier. It reports progress to the watchdog while it waits, so that a slow service does not
// look like a hung loop. After a bounded time without an answer it stops reporting, and the loop then counts as hung.
func (l *Loop) ask(ctx context.Context, texts []serving.Text, got func(serving.Text, serving.Answer)) error {
	patience := silences * l.rules.Model.Serving.Timeout.D()
	var heard atomic.Int64 // time of the last answer, since start
	start := time.Now()
	done := make(chan error, 1)
	go func() {
		done <- l.scorer.Score(ctx, texts, func(t serving.Text, a serving.Answer) {
			heard.Store(int64(time.Since(start)))
			got(t, a)
		})
	}()
	tick := time.NewTicker(l.o.BeatEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if time.Since(start)-time.Duration(heard.Load()) < patience {
				l.o.Beat()
			}
		}
	}
}

// texts returns the texts to score. It leaves out a text that was edited back to an earlier version, because that
// version already has an answer.
func (l *Loop) texts(ctx context.Context, release string, waiting []drift.Unscored) ([]serving.Text, error) {
	var texts []serving.Text
	err := l.o.Store.View(ctx, func(t *store.Tx) error {
		for _, u := range waiting {
			switch p, err := t.Prediction(l.name, release, u.Item, u.TextHash); {
			case err == nil && l.monitor.Answer(p.Item, p.TextHash, p.Answers):
				continue
			case err != nil && !errors.Is(err, store.ErrNotFound):
				return err
			}
			it, err := t.Item(l.name, u.Item)
			if errors.Is(err, store.ErrNotFound) || err == nil && it.TextHash != u.TextHash {
				continue // the item was changed or deleted since: the next evaluation handles that
			}
			if err != nil {
				return err
			}
			texts = append(texts, serving.Text{Item: u.Item, Hash: u.TextHash, Fields: it.Text})
		}
		return nil
	})
	return texts, err
}
