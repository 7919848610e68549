package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/status"
)

func newModelsPin(a *app) *cobra.Command {
	var p status.Pin
	cmd := a.request(2, "pin MODEL RELEASE", "Pin a release, so that retention never removes it",
		`Pin a release: retention never removes its files, its image and its name on an Ollama server. RELEASE is its digest, or
the first characters of the digest, as retraind models show MODEL prints them.`,
		func(ctx context.Context, c *status.Client, args []string) (status.Done, error) {
			return c.Pin(ctx, args[0], args[1], p)
		})
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for other people")
	return cmd
}

func newModelsUnpin(a *app) *cobra.Command {
	return a.request(2, "unpin MODEL RELEASE", "Unpin a release, so that retention may remove it again",
		"Unpin a release: retention may remove it again.",
		func(ctx context.Context, c *status.Client, args []string) (status.Done, error) {
			return c.Unpin(ctx, args[0], args[1], "")
		})
}
