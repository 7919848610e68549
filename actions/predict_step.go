package actions

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/predict"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// JobPredict is the kind of the job that asks a candidate.
const JobPredict = "predict"

// PredictFacts identify the release that was asked.
type PredictFacts struct {
	Release string `json:"release"` // digest; the release is sealed before it is asked
	N       int    `json:"n"`       // items answered
}

func predicted(done []Outcome) *PredictFacts {
	return find(done, func(f Facts) *PredictFacts { return f.Predict })
}

// predictions returns the path of the candidate's answers. It is outside the release, because the answers of a language
// model vary between runs while the artifact stays the same.
func (p Plan) predictions() string { return filepath.Join(p.RunDir, predictionsFile) }

// predict seals the candidate and asks it about the held-out items. A repeated call continues the earlier one.
func (x *Executor) predict(ctx context.Context, p Plan, a Action, step Step, done []Outcome) (Outcome, error) {
	seal := func() (Release, error) { return Seal(p.releaseDir(), p.Model, p.Run, now()) }
	if runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt)) {
		seal = func() (Release, error) { return ReadRelease(p.releaseDir()) }
	}
	r, err := seal()
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	var out Outcome
	if !runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt)) { // remove the answers of an earlier attempt
		err := os.Remove(p.predictions())
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = os.RemoveAll(p.baseDir())
		}
		if err != nil {
			return failed(ctx, store.StepFailed, err)
		}
	}
	if step.Predict == nil {
		out, err = x.inQuietHours(ctx, p, a, step)
	} else {
		out, _, err = x.child(ctx, p, a, withDocker(step), JobPredict, func(dir string) (any, error) {
			return x.predictInput(ctx, p, step, dir, r.Digest)
		})
	}
	if err != nil || out.Class != store.StepOK {
		return out, err
	}
	if _, err := os.Stat(p.predictions()); err != nil {
		return failed(ctx, store.StepFailed, fmt.Errorf("the command wrote no answers to $RETRAIND_PREDICTIONS: %w", err))
	}
	mine, err := readPredictions(p.RunDir, p.targets())
	if err == nil {
		err = answersAll(mine, exported(done))
	}
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	out.Facts.Predict = &PredictFacts{Release: r.Digest, N: len(mine)}
	return out, nil
}

// predictInput returns the input of the job; it writes the held-out items into the directory of the attempt.
func (x *Executor) predictInput(ctx context.Context, p Plan, step Step, dir, release string) (predict.Input, error) {
	in := predict.Input{Serving: p.Serving, Items: filepath.Join(dir, "items.jsonl"), Out: p.predictions()}
	if err := x.writeItems(ctx, p, in.Items); err != nil {
		return in, err
	}
	if step.Predict.URL != "" {
		in.Serving.Classify, in.Serving.Batch = step.Predict.URL, nil
		return in, nil
	}
	if p.Serving.Ollama != nil && slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Do == DoStage }) {
		named := *p.Serving.Ollama
		named.Model = ollama.ReleaseTag(named.Model, release) // as created by stage
		in.Serving.Ollama = &named
		if step.Predict.Base != "" {
			p.askBase(&in, step.Predict.Base)
		}
		return in, nil
	}
	deploy := p.composed()
	if deploy == nil {
		return in, errors.New("it is not configured where the candidate answers: set url or exec, or deploy with compose or ollama")
	}
	c, err := x.composeInput(ctx, p, *deploy)
	in.Compose = &c
	in.Beside = compose.Beside{Name: oneOffName(p), Port: step.Predict.Port, Env: step.Predict.Env, Asked: p.Serving.Classify}
	return in, err
}

// oneOffName returns the name of the container of a run's candidate.
func oneOffName(p Plan) string { return "retraind-" + p.Run + "-predict" }

// writeItems writes the held-out items: those of the store, and those of test.jsonl that are not yet in the store.
func (x *Executor) writeItems(ctx context.Context, p Plan, path string) error {
	s, err := x.snapshot(ctx, p)
	if err != nil {
		return err
	}
	out, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer out.Cleanup() //nolint:errcheck // nothing is left of one that was replaced
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	known := map[[2]string]bool{}
	put := func(it predict.Item) error {
		key := [2]string{it.ID, it.TextHash}
		if known[key] {
			return nil
		}
		known[key] = true
		return enc.Encode(it)
	}
	for _, it := range s.items {
		if err := put(predict.Item{ID: it.Item, TextHash: it.TextHash, Text: it.Text}); err != nil {
			return err
		}
	}
	if err := eachTest(filepath.Join(p.dataDir(), "test.jsonl"), put); err != nil {
		return err
	}
	if len(known) == 0 {
		return errors.New("no item is held out: label more items, or raise heldout.share")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

// eachTest calls put for each line of an exported test file. A missing file has no lines.
func eachTest(path string, put func(predict.Item) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var it predict.Item
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := put(it); err != nil {
			return err
		}
	}
	return lines.Err()
}
