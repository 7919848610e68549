package actions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// roomRuns is the number of earlier runs from which the space for a step is estimated.
const roomRuns = 5

// room refuses to start a step if the disk has less space than the most that the step wrote in earlier runs, plus a
// tenth. It reports false if there is enough space, or if nothing is known; otherwise it returns the step's outcome.
func (x *Executor) room(ctx context.Context, p Plan, step Step) (Outcome, bool, error) {
	need, runs, err := x.grew(ctx, p, step.Name)
	if err != nil || need == 0 {
		return Outcome{}, false, err
	}
	const tenth = 10
	for _, dir := range []string{filepath.Dir(p.RunDir), filepath.Dir(p.releaseDir())} {
		free, err := files.FreeSpace(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			out, err := failed(ctx, store.StepFailed, fmt.Errorf("free space of %s: %w", dir, err))
			return out, true, err
		}
		if free < need+need/tenth {
			last := "last run"
			if runs > 1 {
				last = "last " + text.Plural(runs, "run")
			}
			return Outcome{
				Class: store.StepBlocked, Why: policy.ReasonDiskFull,
				Detail: fmt.Sprintf("step %s is not started: it wrote up to %s in the %s, but %s has only %s free; free disk space, or keep less (retention)",
					step.Name, text.Bytes(need), last, dir, text.Bytes(free)),
			}, true, nil
		}
	}
	return Outcome{}, false, nil
}

// grew returns the most that a step wrote in the newest runs of its pipeline, and the number of runs with a record.
func (x *Executor) grew(ctx context.Context, p Plan, step string) (most int64, runs int, err error) {
	var list []store.Run
	err = x.durably(ctx, func() error {
		return x.Store.View(ctx, func(t *store.Tx) (err error) {
			list, err = t.Runs(p.Model, keepRuns)
			return err
		})
	})
	for _, r := range list {
		sum, err := ReadSummary(r.Result)
		if err != nil || r.Pipeline != p.Pipeline {
			continue
		}
		if size, known := sum.Sizes[step]; known && runs < roomRuns {
			most, runs = max(most, size), runs+1
		}
	}
	return most, runs, err
}

// sizes returns the bytes that each step of a run wrote, by name.
func sizes(p Plan, done []Outcome) map[string]int64 {
	out := map[string]int64{}
	for _, o := range done {
		if o.Kind != ActDo || o.Class != store.StepOK || o.Carried || o.Step >= len(p.Steps) {
			continue
		}
		name := p.Steps[o.Step].Name
		if l, err := readLeft(AttemptDir(p.RunDir, name, o.Attempt)); err == nil && l.Grew > 0 {
			out[name] = l.Grew
		}
	}
	return out
}
