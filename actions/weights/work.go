package weights

import (
	"context"
	"strings"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/store"
)

// Work is the built-in step check: its input is a Chain, and the data of its result are the findings, one sentence
// each.
func Work(_ context.Context, j job.Job) (job.Result, error) {
	var c Chain
	if err := j.Decode(&c); err != nil {
		return job.Result{}, err
	}
	found, err := c.Check()
	r := job.Result{Class: store.StepOK, Detail: strings.Join(found, "; "), Data: job.Encode(found)}
	if err != nil {
		r.Class, r.Detail = store.StepFailed, err.Error()
	}
	return r, nil
}
