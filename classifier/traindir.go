package classifier

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

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

// Prediction is one line of predictions.jsonl: what the new model says about a test item, before it is served.
type Prediction struct {
	ID         string          `json:"id"`
	TextHash   string          `json:"text_hash"`
	Answers    serving.Answers `json:"answers"`
	Confidence float64         `json:"confidence"`
}

// TrainDir reads train.jsonl and, where there are any, validation.jsonl and test.jsonl from dataDir. It learns from the
// first two, since nothing in this training is tuned on the second. It writes the model, its predictions for
// the test items and its metrics into releaseDir, which is made when it is missing. The model file comes last: a
// release directory that has it is complete.
func TrainDir(dataDir, releaseDir string, opts Options, progress func(Progress)) (Metrics, error) {
	opts = opts.withDefaults()
	train, err := ReadExamples(filepath.Join(dataDir, TrainFile), opts.Target)
	if errors.Is(err, fs.ErrNotExist) {
		return Metrics{}, fmt.Errorf("train: there is no %s: write it with `retraind export`, or correct --data", filepath.Join(dataDir, TrainFile))
	}
	if err != nil {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	validation, err := ReadExamples(filepath.Join(dataDir, ValidationFile), opts.Target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	train = append(train, validation...)
	if len(train) == 0 {
		return Metrics{}, fmt.Errorf("train: %s is empty: the export wrote no item that may be trained on; are there labels outside the held-out set?",
			filepath.Join(dataDir, TrainFile))
	}
	test, err := ReadExamples(filepath.Join(dataDir, TestFile), opts.Target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	model, metrics, err := Train(train, opts, progress)
	if err != nil {
		return Metrics{}, err
	}
	if err := os.MkdirAll(releaseDir, 0o755); err != nil {
		return Metrics{}, fmt.Errorf("train: %w", err)
	}
	if err := model.predictFile(filepath.Join(releaseDir, PredictionsFile), test, opts.Target, &metrics); err != nil {
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

// predictFile writes one line per test item and fills in the metrics of the test.
func (m *Model) predictFile(path string, test []Example, target string, metrics *Metrics) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // nothing is left to clean up after the replace
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	support, predicted, right := map[string]int{}, map[string]int{}, map[string]int{}
	for _, e := range test {
		label, confidence := m.Classify(e.Text)
		truth := e.Labels[target]
		support[truth]++
		predicted[label]++
		if label == truth {
			right[label]++
			metrics.TestRight++
		}
		if err := enc.Encode(Prediction{e.ID, drift.TextHash(e.Text), serving.Answers{target: label}, confidence}); err != nil {
			return err
		}
	}
	metrics.TestItems = len(test)
	if len(test) > 0 {
		metrics.Accuracy = float64(metrics.TestRight) / float64(len(test))
		metrics.MacroF1 = macroF1(support, predicted, right)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// macroF1 is the mean over the categories that occur as label or as prediction.
func macroF1(support, predicted, right map[string]int) float64 {
	all := maps.Clone(support)
	maps.Copy(all, predicted)
	var sum float64
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sum += 2 * float64(right[name]) / float64(support[name]+predicted[name])
	}
	return sum / float64(len(all))
}
