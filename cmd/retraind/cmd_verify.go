package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/status"
)

func newVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify MODEL",
		Short: "Ask the service now whether the champion serves",
		Long: `Ask the service now whether the champion serves: what its health names, and a sample of held-out texts, first of those on
which releases differ. A hold that a run set because it could not prove what serves ends when the champion is proved.

Exit status: 0 proved, 3 something else serves or the service could not be asked.`,
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
	return a.settle("adopt MODEL", "Make what the service answers now the champion",
		`Make what the service answers now the champion: it is asked about every held-out text, and its accuracy is watched from
then on. Use it when somebody has put another model into service and meant it. What it trained on is taken out where
serving.adopt.trained_on names its training file.`, (*status.Client).Adopt)
}

func newModelsRedeploy(a *app) *cobra.Command {
	return a.settle("redeploy MODEL", "Bring the champion back into service",
		`Bring the champion back into service, where something else serves: a run does again what the champion's deployment did, and
proves that the champion serves. Nothing is trained.`, (*status.Client).Redeploy)
}

// settle returns a command that resolves what a model serves.
func (a *app) settle(use, short, long string,
	do func(c *status.Client, ctx context.Context, model, by string) (status.Done, error),
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			done, err := do(c, context.Background(), args[0], "")
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
