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

// adoptedRun is stored in place of a run's id for an adopted release.
const adoptedRun = "adopted"

// putAdopted stores the adopted champion with its answers, its accuracy and the event, in one transaction.
func (l *Loop) putAdopted(ctx context.Context, by string, service serving.HealthInfo, got []store.Prediction,
	before deployState,
) error {
	health := service.Release
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
		if is, err := l.readDeployState(t, row); err != nil || is != before {
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
		champion := actions.Champion{
			Seq: seq, Runtime: service.Runtime, Adopted: &actions.Adopted{Health: health, TrainedOn: from, At: now},
		}
		if o := l.rules.Model.Serving.Ollama; o != nil {
			champion.Asked = o.Asked()
		}
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
		l.monitor = nil // a run started meanwhile, and the answers may be those of its candidate
		return nil
	}
	if err != nil {
		return err
	}
	l.log.Info("the serving release was adopted as champion", "release", text.Digest(digest), "accuracy", baseline.Accuracy,
		"items", baseline.N, "trained_on", from)
	l.monitor = nil // rebuilt with the champion
	return nil
}

// trainedOn reads from the user's training file which items the adopted release was trained on. It returns nil if no
// file is configured.
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

// currentDir returns the target of the link `current`, or "" if there is no link. A rollback to an adopted release
// restores this target.
func currentDir(modelDir string) (string, error) {
	link := actions.CurrentLink(modelDir)
	if _, err := os.Lstat(link); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	dir, err := filepath.EvalSymlinks(link)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil // a dangling link: nothing to restore
	}
	return dir, err
}

// answersDigest computes the digest of an adopted release from its answers and from the digest in its health answer.
func answersDigest(health string, got []store.Prediction) string {
	slices.SortFunc(got, func(a, b store.Prediction) int { return strings.Compare(a.Item, b.Item) })
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", health)
	for _, p := range got {
		fmt.Fprintf(h, "%s\x00%s\x00%s\n", p.Item, p.TextHash, mustJSON(p.Answers))
	}
	return hex.EncodeToString(h.Sum(nil))
}
