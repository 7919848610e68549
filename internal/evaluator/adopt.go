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

// adoptServing makes what the service answers the champion, before retraind has ever deployed anything: its accuracy is
// known and watched from then on, and the first candidate is compared with it. It asks about every held-out item, and
// adopts only when all are answered. A service that is away, or that has no model yet, is left for the first run.
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

// adoptAnswers asks the service about every held-out item and makes its answers the champion's. by is who asked for it,
// "" for nobody. An error of the service becomes the state of the report.
func (l *Loop) adoptAnswers(ctx context.Context, by string) error {
	before, err := l.deployed(ctx)
	if err != nil || before.active {
		return err // a run changes what serves
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

// adoptAsked adopts what the service answers because a person asked for it.
func (l *Loop) adoptAsked(ctx context.Context, by string) (string, error) {
	switch state, err := l.deployed(ctx); {
	case err != nil:
		return "", err
	case state.active:
		return "", &RefusedError{"a run is under way: wait for its end, or cancel it"}
	}
	if err := l.adoptAnswers(ctx, by); err != nil {
		return "", err
	}
	row, err := l.row(ctx)
	if err != nil {
		return "", err
	}
	if !actions.IsAdopted(row.Champion) || l.monitor != nil {
		return "", &RefusedError{"nothing was adopted: a run began meanwhile, or there is no held-out item that the service could be asked about"}
	}
	return "what serves is the champion now, as " + text.Digest(row.Champion), nil
}

// notAdopted handles a service that could not be asked. Away is what a first run is for; an answer that cannot be used
// would fail that run too, so it is shown before anything is trained.
func (l *Loop) notAdopted(ctx context.Context, by string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case by != "":
		return fmt.Errorf("nothing was adopted: %w", err)
	case errors.Is(err, serving.ErrAsleep):
		return nil
	}
	l.monitor.Service(fmt.Errorf("the service's answers cannot be adopted: %w; correct serving, or set serving.adopt: {off: true} to train a first release all the same",
		err))
	l.log.Warn("the service's answers cannot be adopted", "err", err)
	return nil
}

// askAll asks about all texts, in parts, so that the watchdog and the page see progress.
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
