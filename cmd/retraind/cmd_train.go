package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/classifier"
)

func newTrain(a *app) *cobra.Command {
	var data, release, target string
	var embeddings classifier.Embeddings
	var seed uint64
	var epochs int
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train the embedded classifier on an export",
		Long: `Train the embedded classifier: a softmax regression on n-grams of words and characters.

Reads train.jsonl, validation.jsonl and test.jsonl from the data directory and writes classifier.bin,
predictions.jsonl and metrics.json to the release directory. All targets with labels in the files are
trained, whether their values are texts, true or false, or lists. A part of the examples determines when to stop and
calibrates the confidences; then all examples are used. The same data and seed give the same file.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if data == "" || release == "" {
				return fail(exitUsage,
					"--data and --release are required; in a run they come from RETRAIND_DATA_DIR and RETRAIND_RELEASE_DIR")
			}
			opts := classifier.Options{Seed: seed, Epochs: epochs, Target: target}
			if embeddings.URL != "" {
				if embeddings.Model == "" {
					return fail(exitUsage, "--embeddings needs --embeddings-model, for example nomic-embed-text")
				}
				opts.Embeddings = &embeddings
			}
			start := time.Now()
			m, err := classifier.TrainDir(data, release, opts, reportProgress(os.Getenv(runner.ProgressVar)))
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(m)
			}
			reportTraining(a.stdout, m, time.Since(start))
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", os.Getenv("RETRAIND_DATA_DIR"), "directory with train.jsonl and test.jsonl")
	cmd.Flags().StringVar(&release, "release", os.Getenv("RETRAIND_RELEASE_DIR"), "directory for the trained model")
	cmd.Flags().StringVar(&target, "target", os.Getenv("RETRAIND_TARGET"), "target that decides about promotion (default label)")
	cmd.Flags().StringVar(&embeddings.URL, "embeddings", "",
		"train on the vectors of a service: Ollama's http://HOST:11434/api/embed, or an OpenAI-compatible …/v1/embeddings")
	cmd.Flags().StringVar(&embeddings.Model, "embeddings-model", "", "model of the embedding service")
	cmd.Flags().StringVar(&embeddings.Cache, "embeddings-cache", cacheFile(),
		"cache of vectors by the hash of their text (default in a run: embeddings.cache in the model's directory)")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the shuffling")
	cmd.Flags().IntVar(&epochs, "epochs", 0, "maximum number of passes over the data (default 8)")
	return cmd
}

// cacheFile returns a path beside the model's releases, so that each run reuses the vectors of earlier runs.
func cacheFile() string {
	if dir := os.Getenv("RETRAIND_MODEL_DIR"); dir != "" {
		return filepath.Join(dir, "embeddings.cache")
	}
	return ""
}

// reportTraining prints the results of the gating target and of the other targets, and the size of the model.
func reportTraining(w io.Writer, m classifier.Metrics, took time.Duration) {
	say(w, "trained on %d examples of %d categories in %.1f s: %s", m.Examples, len(m.Categories), took.Seconds(),
		accuracyText(m.TargetMetrics))
	for _, name := range slices.Sorted(maps.Keys(m.Others)) {
		t := m.Others[name]
		say(w, "  %s: %d examples of %d categories: %s", name, t.Examples, len(t.Categories), accuracyText(t))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Skipped)) {
		say(w, "  %s is not trained: %s", name, m.Skipped[name])
	}
	say(w, "%d features, a file of %.1f MB; the training used %.0f MB of memory besides the texts",
		m.Features, float64(m.ModelBytes)/1e6, float64(m.TrainingBytes)/1e6)
}

func accuracyText(t classifier.TargetMetrics) string {
	return fmt.Sprintf("%d of %d test items right (%.1f%%), macro-F1 %.3f, calibration error %.3f", t.TestRight,
		t.TestItems, 100*t.Accuracy, t.MacroF1, t.ECE)
}

// reportProgress returns a function that writes the training's progress to the file that the daemon reads, if the
// daemon named a file.
func reportProgress(file string) func(classifier.Progress) {
	if file == "" {
		return nil
	}
	return func(p classifier.Progress) {
		share := 0.0
		if p.Epochs > 0 {
			share = float64(p.Epoch) / float64(p.Epochs)
		}
		// A failure to report progress must not fail the training.
		_ = renameio.WriteFile(file, fmt.Appendf(nil, "%.3f %s %d/%d\n", share, p.Phase, p.Epoch, p.Epochs), 0o600)
	}
}
