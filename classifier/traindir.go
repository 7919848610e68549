package classifier

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
)

// Files of a data directory and of a release directory.
const (
	TrainFile       = "train.jsonl"
	ValidationFile  = "validation.jsonl"
	TestFile        = "test.jsonl"
	PredictionsFile = "predictions.jsonl"
	MetricsFile     = "metrics.json"
)

// Prediction is one line of predictions.jsonl: the new model's answer to a test item, before it is deployed.
type Prediction struct {
	ID         string          `json:"id"`
	TextHash   string          `json:"text_hash"`
	Answers    serving.Answers `json:"answers"`
	Confidence float64         `json:"confidence"`
}

// TrainDir reads train.jsonl and, if they exist, validation.jsonl and test.jsonl from dataDir, and trains a model. It
// learns all targets for which train.jsonl or validation.jsonl has labels, unless opts.Kinds names the targets. If
// there are enough examples, it chooses the learning rate, the number of passes and the temperature on held-back
// examples (those of validation.jsonl if they are enough). Then it trains the model on all of train.jsonl and
// validation.jsonl. It writes the model, predictions for the test items and metrics into releaseDir, which it creates
// if missing. The model file is written last, so a release directory that has this file is complete.
func TrainDir(dataDir, releaseDir string, opts Options, progress func(Progress)) (Metrics, error) {
	opts = opts.withDefaults()
	kinds := map[string]serving.Kind{}
	train, err := readFile(filepath.Join(dataDir, TrainFile), opts.Target, kinds)
	if errors.Is(err, fs.ErrNotExist) {
		return Metrics{}, fmt.Errorf("train: there is no %s: write it with `retraind export`, or correct --data",
			filepath.Join(dataDir, TrainFile))
	}
	if err != nil {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	validation, err := readFile(filepath.Join(dataDir, ValidationFile), opts.Target, kinds)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	opts.own = len(train)
	train = append(train, validation...)
	if len(train) == 0 {
		return Metrics{},
			fmt.Errorf("train: %s is empty: the export wrote no item that may be trained on; are there labels outside the held-out set?",
				filepath.Join(dataDir, TrainFile))
	}
	test, err := readFile(filepath.Join(dataDir, TestFile), opts.Target, kinds)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	if opts.Kinds == nil {
		opts.Kinds = kinds
	}
	model, metrics, err := Train(train, opts, progress)
	if err != nil {
		return Metrics{}, err
	}
	if err := os.MkdirAll(releaseDir, 0o755); err != nil {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	if err := model.predictFile(filepath.Join(releaseDir, PredictionsFile), test, &metrics); err != nil {
		return Metrics{}, fmt.Errorf("train: write predictions: %w", err)
	}
	b, err := json.MarshalIndent(metrics, "", "  ")
	if err != nil {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(releaseDir, MetricsFile), append(b, '\n'), 0o644); err != nil {
		return Metrics{}, fmt.Errorf("train: write metrics: %w", err)
	}
	if err := model.Save(releaseDir); err != nil {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	return metrics, nil
}

// predictFile writes one prediction per test item to a file, and sets the metrics of the test.
func (m *Model) predictFile(path string, test []Example, metrics *Metrics) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // no effect after the replace
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	tallies := make([]*tally, len(m.Heads))
	for i, h := range m.Heads {
		tallies[i] = newTally(h.Kind)
	}
	texts := make([]map[string]string, len(test))
	for i := range test {
		texts[i] = test[i].Text
	}
	answers, err := m.AnswerAll(context.Background(), texts)
	if err != nil {
		return err
	}
	for n, e := range test {
		list := answers[n]
		for i, h := range m.Heads {
			if truth := e.Labels[h.Name]; truth != "" {
				tallies[i].add(list[i], truth)
			}
		}
		if err := enc.Encode(Prediction{e.ID, drift.TextHash(e.Text), m.Answers(list), list[0].Confidence}); err != nil {
			return err
		}
	}
	for i, h := range m.Heads {
		t := metrics.of(i == 0, h.Name)
		tallies[i].fill(&t)
		metrics.set(i == 0, h.Name, t)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
