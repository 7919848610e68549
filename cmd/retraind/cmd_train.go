package main

import (
	"fmt"
	"os"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/classifier"
)

func newTrain(a *app) *cobra.Command {
	var data, release, target string
	var seed uint64
	var epochs int
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train the embedded classifier on an export",
		Long: `Train the embedded classifier: hashed word and character n-grams under a softmax regression.

Reads train.jsonl and test.jsonl from the data directory and writes classifier.bin, predictions.jsonl
and metrics.json to the release directory. The same data and seed give the same file.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if data == "" || release == "" {
				return fail(exitUsage, "--data and --release are needed; in a run they come from RETRAIND_DATA_DIR and RETRAIND_RELEASE_DIR")
			}
			start := time.Now()
			m, err := classifier.TrainDir(data, release, classifier.Options{Seed: seed, Epochs: epochs, Target: target},
				reportProgress(os.Getenv("RETRAIND_PROGRESS")))
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(m)
			}
			fmt.Fprintf(a.stdout, "trained %d examples of %d categories in %.1f s: %d of %d test items right (%.1f %%), macro-F1 %.3f\n",
				m.Examples, len(m.Categories), time.Since(start).Seconds(), m.TestRight, m.TestItems, 100*m.Accuracy, m.MacroF1)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", os.Getenv("RETRAIND_DATA_DIR"), "directory with train.jsonl and test.jsonl")
	cmd.Flags().StringVar(&release, "release", os.Getenv("RETRAIND_RELEASE_DIR"), "directory for the trained model")
	cmd.Flags().StringVar(&target, "target", os.Getenv("RETRAIND_TARGET"), "label to learn (default label)")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the shuffling")
	cmd.Flags().IntVar(&epochs, "epochs", 0, "passes over the data (default: the trainer's)")
	return cmd
}

// reportProgress writes how far the training is to the file that the daemon reads, if it named one.
func reportProgress(file string) func(classifier.Progress) {
	if file == "" {
		return nil
	}
	return func(p classifier.Progress) {
		share := 0.0
		if p.Epochs > 0 {
			share = float64(p.Epoch) / float64(p.Epochs)
		}
		// Not knowing how far it is is no reason to fail a training.
		_ = renameio.WriteFile(file, fmt.Appendf(nil, "%.3f %s %d/%d\n", share, p.Phase, p.Epoch, p.Epochs), 0o600)
	}
}
