package gpugate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
)

// Restore implements actions.GPU.
func (g *Gate) Restore(ctx context.Context, s actions.GPUStep, asked []actions.AskedModel, all bool) (string, error) {
	g.lend(s.Run, nil)
	g.unloadOwn(ctx, s, asked)
	said, err := g.restore(ctx, s, func(e ledger.Entry) bool { return all || !e.UntilEnd })
	if said == "" && err == nil {
		said = "nothing to restore"
	}
	return said, err
}

// restore restores the things that a run has stopped, if the given function returns true for their entry. It returns a
// description of the results.
func (g *Gate) restore(ctx context.Context, s actions.GPUStep, which func(ledger.Entry) bool) (string, error) {
	results, bad, err := g.o.Ledger.Restore(ctx, ledger.Order{
		Due: func(e ledger.Entry) string {
			switch {
			case e.Run.ID != s.Run:
				return "it belongs to run " + e.Run.ID
			case !which(e):
				return "it stays stopped"
			}
			return ledger.StepsEnded(e)
		},
	})
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	g.CheckGPU(ctx, results)
	if err := g.Tell(ctx, results, bad); err != nil {
		return "", err
	}
	if err != nil {
		return "", err
	}
	var said, owed []string
	for _, r := range results {
		line := fmt.Sprintf("%s: %s", r.Entry.Thing, r.Detail)
		if r.Ending == ledger.Owed {
			owed = append(owed, line)
		} else {
			said = append(said, line)
		}
	}
	if len(owed) > 0 {
		return "", errors.New("not restored yet, will be retried: " + strings.Join(owed, "; "))
	}
	return strings.Join(said, "; "), nil
}
