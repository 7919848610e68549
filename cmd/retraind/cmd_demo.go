package main

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/demo"
)

func newDemo(a *app) *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the whole job on this machine, in under a minute",
		Long: `Play the whole job on this machine: a private PostgreSQL with labelled texts, a classifier service, its
clients, a NATS subscriber, and the daemon. Labels are corrected and a better model is deployed; labels
are poisoned and the retrain is refused; a deploy serves the old model and is rolled back.

Needs PostgreSQL's server binaries and nothing else. Exit 0 only if all of it really happened, 7 otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var err error
			if o.Self, err = self(); err != nil {
				return err
			}
			if !a.json {
				o.Out, o.Live = a.stdout, isTerminal(a.stdout)
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			r, err := demo.Play(ctx, o)
			if ctx.Err() != nil && !r.OK {
				return errInterrupted
			}
			if err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(r); err != nil {
					return err
				}
			}
			if !r.OK {
				return silent(exitNotPromoted)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Data, "data", "", "JSON lines {id, title, content, label} to use instead of generated texts")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the generated texts")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave everything running at the end and say what to try")
	return cmd
}
