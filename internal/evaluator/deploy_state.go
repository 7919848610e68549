package evaluator

import (
	"context"

	"github.com/retraind/retraind/store"
)

// deployState identifies the deployed release and the newest run, which may be deploying another one. Answers are known
// to be from one release only if deployState is the same before the request and after the answers.
type deployState struct {
	champion string
	run      string // the newest run
	active   bool   // run has not ended
}

func (l *Loop) deployed(ctx context.Context) (out deployState, err error) {
	err = l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		out, err = l.readDeployState(t, row)
		return err
	})
	return out, err
}

func (l *Loop) readDeployState(t *store.Tx, row store.Model) (deployState, error) {
	out := deployState{champion: row.Champion}
	runs, err := t.Runs(l.name, 1)
	if err == nil && len(runs) > 0 {
		out.run, out.active = runs[0].ID, runs[0].State != store.RunEnded
	}
	return out, err
}
