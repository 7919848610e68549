package main

import (
	"context"
	"errors"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
)

func newExport(a *app) *cobra.Command {
	var o offline.ExportOptions
	cmd := &cobra.Command{
		Use:   "export MODEL",
		Short: "Write the present training, validation and test files of a model",
		Long: `Write train.jsonl, validation.jsonl, test.jsonl and manifest.json as a run would. No text of
test.jsonl is in the other two. An export that is much smaller than that of the deployed release, or
lacks one of its categories, is refused. With --chat each line also has chat messages, built from the files
of serving.ollama and the labels. Works with and without a running daemon.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			debug.SetGCPercent(25) // an export needs little memory beside the rows that it reads: collect them early
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			facts, err := offline.Export(ctx, l.File, args[0], o)
			if errors.Is(err, store.ErrNotFound) {
				return noModel(args[0], l.File.Names())
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(facts)
			}
			validation := facts.Splits[drift.SideValidation].Items
			say(a.stdout, "wrote %s: %s to train on, %d to validate with, %d held out", o.Dir,
				text.Plural(facts.Train-validation, "item"), validation, facts.Test)
			if facts.Incomplete > 0 {
				say(a.stdout, "left out: %s without all the labels that the schema requires", text.Plural(facts.Incomplete, "row"))
			}
			if facts.Unlabelled+facts.Duplicates > 0 {
				say(a.stdout, "left out: %s without a label, %d with the text of a held-out item",
					text.Plural(facts.Unlabelled, "row"), facts.Duplicates)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&o.Dir, "out", "o", "export", "directory for the files")
	cmd.Flags().BoolVar(&o.Force, "force", false, "write the files even if a check refuses the export")
	cmd.Flags().BoolVar(&o.Chat, "chat", false, "add messages to each line, for training a language model")
	return cmd
}
