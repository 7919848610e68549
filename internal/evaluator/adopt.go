package evaluator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// adoptServing makes the serving release the champion, if retraind has not deployed any release yet. From then on the
// accuracy of that release is measured, and the first candidate is compared with it. adoptServing scores every held-out
// item, and adopts the release only if the service answers for all of them. If the service is unreachable or has no
// model yet, it adopts nothing, and the policy may start a first run.
func (l *Loop) adoptServing(ctx context.Context) error {
	config := l.rules.Model.Serving.Adopt
	if config != nil && config.Off || l.monitor.Release().Digest != "" || l.reading() {
		return nil
	}
	row, err := l.row(ctx)
	if err != nil || row.Champion != "" || row.Hold != "" || l.barred() {
		return err
	}
	return l.adoptAnswers(ctx, "")
}

// adoptAnswers scores every held-out item and adopts the release that gave the answers. If the parameter by names a
// person who requested the adoption, an error of the service is returned. If by is "", the adoption is automatic, and
// an error of the service becomes the state of the report.
func (l *Loop) adoptAnswers(ctx context.Context, by string) error {
	before, err := l.deployed(ctx)
	if err != nil || before.active {
		return err // a run is changing the serving release
	}
	l.monitor.Service(nil)
	health, err := l.health(ctx)
	if err != nil {
		return l.notAdopted(ctx, by, err)
	}
	items, err := l.heldOut(ctx)
	if err != nil || len(items) == 0 {
		return err
	}
	texts := make([]serving.Text, len(items))
	for i, it := range items {
		texts[i] = serving.Text{Item: it.ID, Hash: it.TextHash, Fields: it.Text}
	}
	got, err := l.askAll(ctx, texts)
	if err != nil {
		return l.notAdopted(ctx, by, err)
	}
	return l.putAdopted(ctx, by, health, got, before)
}

// adoptAsked adopts the serving release because a person requested it.
func (l *Loop) adoptAsked(ctx context.Context, by string) (string, error) {
	switch state, err := l.deployed(ctx); {
	case err != nil:
		return "", err
	case state.active:
		return "", &RefusedError{"a run is active: wait for its end, or cancel it"}
	case l.barred():
		return "", &RefusedError{"the classifier must not be queried now: " + l.notAsked}
	}
	if err := l.adoptAnswers(ctx, by); err != nil {
		return "", err
	}
	row, err := l.row(ctx)
	if err != nil {
		return "", err
	}
	if !actions.IsAdopted(row.Champion) || l.monitor != nil {
		return "", &RefusedError{"nothing was adopted: a run has started, or there is no held-out item to score"}
	}
	return "the serving release is now the champion, as " + text.Digest(row.Champion), nil
}

// notAdopted handles an adoption that failed. If the service was unreachable in an automatic adoption, it does nothing,
// so that the policy can start a first run. Invalid answers would make a first run fail too, so they are reported
// before anything is trained.
func (l *Loop) notAdopted(ctx context.Context, by string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case by != "":
		return fmt.Errorf("nothing was adopted: %w", err)
	case errors.Is(err, serving.ErrAsleep):
		return nil
	}
	l.monitor.Service(fmt.Errorf("the serving release cannot be adopted: %w; correct serving, or set serving.adopt: {off: true} to train a first release anyway",
		err))
	l.warnService("the serving release cannot be adopted", "err", err)
	return nil
}

// askAll scores all texts, in batches, so that the watchdog and the page see progress.
func (l *Loop) askAll(ctx context.Context, texts []serving.Text) (got []store.Prediction, err error) {
	defer l.setView(func(v *View) { v.Scoring = nil })
	for part := range slices.Chunk(texts, scoreBatch) {
		l.setView(func(v *View) { v.Scoring = &Scoring{Done: len(got), Of: len(texts)} })
		err := l.ask(ctx, part, func(t serving.Text, a serving.Answer) {
			got = append(got, store.Prediction{Item: t.Item, TextHash: t.Hash, Answers: a.Values, Confidence: a.Confidence})
		})
		if err != nil {
			return nil, err
		}
		l.o.Beat()
	}
	return got, nil
}

// heldOut reads the held-out items with their texts.
func (l *Loop) heldOut(ctx context.Context) (items []store.Item, err error) {
	err = l.o.Store.View(ctx, func(t *store.Tx) error {
		for it, err := range t.HeldOut(l.name) {
			if err != nil {
				return err
			}
			items = append(items, it)
		}
		return nil
	})
	return items, err
}

func (l *Loop) row(ctx context.Context) (row store.Model, err error) {
	err = l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err = t.Model(l.name)
		return err
	})
	return row, err
}
