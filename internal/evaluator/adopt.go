package evaluator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
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
	if err != nil || row.Champion != "" || row.Hold != "" {
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
	if active, err := l.runActive(ctx); err != nil || active {
		return "", errors.Join(err, &RefusedError{"a run is under way: wait for its end, or cancel it"})
	}
	if err := l.adoptAnswers(ctx, by); err != nil {
		return "", err
	}
	row, err := l.row(ctx)
	if err != nil {
		return "", err
	}
	if !actions.IsAdopted(row.Champion) || l.monitor != nil {
		return "",
			&RefusedError{"nothing was adopted: a run began meanwhile, or there is no held-out item that the service could be asked about"}
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

// served is what retraind has deployed: answers are those of one release only if it is the same before and after.
type served struct {
	champion string
	run      string // the newest run
	active   bool   // it has not ended
}

func (l *Loop) deployed(ctx context.Context) (out served, err error) {
	err = l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		out, err = l.servedNow(t, row)
		return err
	})
	return out, err
}

func (l *Loop) servedNow(t *store.Tx, row store.Model) (served, error) {
	out := served{champion: row.Champion}
	runs, err := t.Runs(l.name, 1)
	if err == nil && len(runs) > 0 {
		out.run, out.active = runs[0].ID, runs[0].State != store.RunEnded
	}
	return out, err
}

// adoptedRun stands for the run of an adopted release.
const adoptedRun = "adopted"

// putAdopted stores the adopted champion with its answers, its accuracy and the event, in one transaction.
func (l *Loop) putAdopted(ctx context.Context, by, health string, got []store.Prediction, before served) error {
	trained, from, err := l.trainedOn()
	if err != nil {
		return err
	}
	current, err := currentDir(l.modelDir())
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	digest := actions.AdoptedPrefix + answersDigest(health, got)
	var baseline drift.Baseline
	err = l.o.Store.Update(ctx, "adopt", func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		if is, err := l.servedNow(t, row); err != nil || is != before {
			return errors.Join(err, errStale)
		}
		seq, err := t.LastChange(l.name)
		if err != nil {
			return err
		}
		release := store.Release{
			Digest: digest, Model: l.name, Run: adoptedRun, Path: current, Seq: seq, Info: row.Info, Labels: "{}",
			State:   store.ReleaseChampion,
			Metrics: "{}", Created: now,
		}
		if err := t.PutRelease(release); err != nil {
			return err
		}
		if trained != nil {
			if err := t.PutTrained(l.name, adoptedRun, trained); err != nil {
				return err
			}
		}
		for _, p := range got {
			p.At = now
			if err := t.PutPrediction(l.name, digest, p); err != nil {
				return err
			}
		}
		champion := actions.Champion{Seq: seq, Adopted: &actions.Adopted{Health: health, TrainedOn: from, At: now}}
		former := row.Champion
		row.Champion, row.Baseline, row.Monitor = digest, mustJSON(champion), ""
		m, err := monitor(t, row, l.rules, nil, l.o.Beat)
		if err != nil {
			return err
		}
		if baseline, err = m.Rebase(now); err != nil {
			return err
		}
		champion.Baseline = baseline
		if former != "" && former != digest {
			if err := t.SetReleaseState(l.name, former, store.ReleaseRetired); err != nil {
				return err
			}
		}
		for field, value := range map[store.ModelField]any{
			store.Champion: digest, store.Previous: "", store.Baseline: mustJSON(champion), store.Monitor: "", store.Serving: "",
		} {
			if err := t.SetModel(l.name, field, value); err != nil {
				return err
			}
		}
		figures := &notify.Metrics{Accuracy: baseline.Accuracy, MacroF1: baseline.MacroF1, N: baseline.N}
		return l.notify(t, notify.ModelAdopted, "",
			notify.Adopted{Release: digest, Health: health, Replaces: former, By: by, TrainedOnKnown: from != "", Now: figures})
	})
	if errors.Is(err, errStale) {
		l.monitor = nil // a run began meanwhile, and the answers may be those of its candidate
		return nil
	}
	if err != nil {
		return err
	}
	l.log.Info("what serves is adopted as the champion", "release", text.Digest(digest), "accuracy", baseline.Accuracy,
		"items", baseline.N, "trained_on", from)
	l.monitor = nil // built anew, with the champion
	return nil
}

// trainedOn reads which items the adopted release was trained on, from the user's own training file; nil where none is
// configured.
func (l *Loop) trainedOn() (seen []byte, from string, err error) {
	c := l.rules.Model.Serving.Adopt
	if c == nil || c.TrainedOn == "" {
		return nil, "", nil
	}
	f, err := os.Open(c.TrainedOn)
	if err != nil {
		return nil, "", fmt.Errorf("serving.adopt.trained_on: %w", err)
	}
	defer f.Close()
	known := &drift.Seen{}
	if err := known.AddLines(f, l.rules.Model.Heldout.Group, l.rules.Model.Labels.TextFields()); err != nil {
		return nil, "", fmt.Errorf("serving.adopt.trained_on: %s: %w", c.TrainedOn, err)
	}
	seen, err = known.MarshalBinary()
	return seen, c.TrainedOn, err
}

// currentDir is what the link `current` names, "" if there is none: a release that was adopted is brought back there.
func currentDir(modelDir string) (string, error) {
	link := actions.CurrentLink(modelDir)
	if _, err := os.Lstat(link); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	dir, err := filepath.EvalSymlinks(link)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil // it names nothing: there is nothing to bring back
	}
	return dir, err
}

// answersDigest names an adopted release by what it answers, and by what its health says.
func answersDigest(health string, got []store.Prediction) string {
	slices.SortFunc(got, func(a, b store.Prediction) int { return strings.Compare(a.Item, b.Item) })
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", health)
	for _, p := range got {
		fmt.Fprintf(h, "%s\x00%s\x00%s\n", p.Item, p.TextHash, mustJSON(p.Answers))
	}
	return hex.EncodeToString(h.Sum(nil))
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
