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
		Short: "Run the whole cycle on this machine, in under a minute",
		Long: `Run the whole cycle on this machine: start a private PostgreSQL with labelled texts, a classifier service with
clients, a NATS subscriber, and the daemon. Labels are corrected and a better model is deployed; labels are
poisoned and the gate refuses the candidate; a deployment still serves the old model and is rolled back.

Needs only PostgreSQL's server binaries. Exit 0 if everything happened as expected, 7 otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json && o.Keep {
				return fail(exitUsage, "--json and --keep cannot be combined: use one of them")
			}
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
	cmd.Flags().StringVar(&o.Data, "data", "", "file with JSON lines {id, title, content, label} to use instead of generated texts")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the generated texts")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave everything running at the end, and print commands to try")
	return cmd
}
