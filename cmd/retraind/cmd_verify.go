package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/status"
)

func newVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify MODEL",
		Short: "Check now whether the champion serves",
		Long: `Check now whether the champion serves: by the release in the service's health answer, and by a sample of held-out
texts, first those on which releases differ. If the champion is proved to serve, this also ends a hold that a run has
set because it could not prove which release serves.

Exit code: 0 the champion is proved to serve, 3 something else serves or the service did not answer.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Verify(context.Background(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(s)
			} else {
				say(a.stdout, "%s: %s", s.State, s.Text)
				if s.Notice != "" {
					say(a.stdout, "  %s", s.Notice)
				}
			}
			if err == nil && s.State != status.ServedProved {
				return silent(exitNo)
			}
			return err
		},
	}
}

func newModelsAdopt(a *app) *cobra.Command {
	return a.request(1, "adopt MODEL", "Make the serving release the champion",
		`Make the serving release the champion: it is scored on every held-out text, and its accuracy is measured from then
on. Use this if somebody has deployed another model on purpose. If serving.adopt.trained_on names its training file,
the items in that file do not count for its accuracy.`,
		func(ctx context.Context, c *status.Client, args []string) (status.Done, error) {
			return c.Adopt(ctx, args[0], "")
		})
}

func newModelsRedeploy(a *app) *cobra.Command {
	return a.request(1, "redeploy MODEL", "Deploy the champion again",
		`Deploy the champion again if something else serves: a run repeats the champion's deployment and proves that the
champion serves. Nothing is trained.`,
		func(ctx context.Context, c *status.Client, args []string) (status.Done, error) {
			return c.Redeploy(ctx, args[0], "")
		})
}

// request returns a command with n arguments that sends one request to the daemon and prints what was done.
func (a *app) request(n int, use, short, long string,
	do func(ctx context.Context, c *status.Client, args []string) (status.Done, error),
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(n),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			done, err := do(context.Background(), c, args)
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
