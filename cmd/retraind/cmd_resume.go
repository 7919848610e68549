package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newResume(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "resume MODEL",
		Short: "Take the hold off a model, once you have looked at what serves",
		Long: `Take the hold off a model. A run holds its model when a deploy was taken back and nothing proves what serves
now; no run starts, forced ones included, until this command says that a person has looked.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client(cmd)
			defer c.Close()
			if err := c.Resume(context.Background(), args[0], ""); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"resumed": args[0]})
			}
			fmt.Fprintf(a.stdout, "%s may retrain again; see: retraind status %[1]s\n", args[0])
			return nil
		},
	}
}
