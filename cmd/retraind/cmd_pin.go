package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/status"
)

func newModelsPin(a *app) *cobra.Command {
	var p status.Pin
	cmd := a.ofRelease("pin MODEL RELEASE", "Pin a release, so that retention never removes it",
		`Pin a release: retention never removes its files, its image and its name on an Ollama server. RELEASE is its digest, or
the first characters of it, as retraind models show MODEL prints them.`,
		func(c *status.Client, ctx context.Context, model, release string) (status.Done, error) {
			return c.Pin(ctx, model, release, p)
		})
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for other people")
	return cmd
}

func newModelsUnpin(a *app) *cobra.Command {
	return a.ofRelease("unpin MODEL RELEASE", "Unpin a release, so that retention may remove it again",
		"Unpin a release: retention may remove it again.",
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
