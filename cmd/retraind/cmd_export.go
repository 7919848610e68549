package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/daemon"
	"github.com/retraind/retraind/store"
)

func newExport(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export MODEL",
		Short: "Write the training and test files of a model as they stand now",
		Long: `Write train.jsonl, test.jsonl and manifest.json as a run would. Held-out items are never in
train.jsonl. Works with and without a running daemon.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			facts, err := daemon.Export(ctx, l.File, args[0], out)
			if errors.Is(err, store.ErrNotFound) {
				return noModel(args[0], l.File.Names())
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(facts)
			}
			fmt.Fprintf(a.stdout, "%d items to train on and %d held out in %s; %d rows without a label left out\n", facts.Train, facts.Test, out, facts.Unlabelled)
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "export", "directory for the files")
	return cmd
}
