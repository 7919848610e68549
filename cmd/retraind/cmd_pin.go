package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/status"
)

func newModelsPin(a *app) *cobra.Command {
	var p status.Pin
	cmd := a.ofRelease("pin MODEL RELEASE", "Keep a release, whatever the rules of retention say",
		`Keep a release, whatever the rules of retention say: its files, its image and its name on an Ollama server. RELEASE is its
digest, or the start of it that retraind models show MODEL prints.`,
		func(c *status.Client, ctx context.Context, model, release string) (status.Done, error) {
			return c.Pin(ctx, model, release, p)
		})
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for whoever wonders")
	return cmd
}

func newModelsUnpin(a *app) *cobra.Command {
	return a.ofRelease("unpin MODEL RELEASE", "Let a release go by the rules of retention again",
		"Let a release go by the rules of retention again.",
		func(c *status.Client, ctx context.Context, model, release string) (status.Done, error) {
			return c.Unpin(ctx, model, release, "")
		})
}

// ofRelease returns a command about one release.
func (a *app) ofRelease(use, short, long string,
	do func(c *status.Client, ctx context.Context, model, release string) (status.Done, error),
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			done, err := do(c, context.Background(), args[0], args[1])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(done)
			}
			say(a.stdout, "%s", done.Text)
			return nil
		},
	}
}
