package ollamatags

import (
	"context"
	"errors"
	"fmt"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// StageWork makes the name of a candidate: its input is a MakeInput, its data a Made.
func StageWork(ctx context.Context, j job.Job) (job.Result, error) {
	var in MakeInput
	if err := j.Decode(&in); err != nil {
		return job.Result{}, err
	}
	m, err := Make(ctx, in, j.Progress)
	if err != nil {
		return failed(err)
	}
	return job.Result{
		Class: store.StepOK,
		Data:  job.Encode(m),
		Detail: fmt.Sprintf("%s is there, and answers: %v in memory, %s",
			m.Name, unit.Size(m.Size), onGPU(m.Size, m.VRAM)),
	}, nil
}

// SwitchWork gives the name that clients ask for to a release: its input is a SwitchInput, its data a Switched.
func SwitchWork(ctx context.Context, j job.Job) (job.Result, error) {
	var in SwitchInput
	if err := j.Decode(&in); err != nil {
		return job.Result{}, err
	}
	s, err := Switch(ctx, in, j.Progress)
	if err != nil {
		return failed(err)
	}
	r := job.Result{Class: store.StepOK, Data: job.Encode(s)}
	switch {
	case in.Want == nil && s.Changed:
		r.Detail = s.Name + " is taken away: there was none before"
	case in.Want == nil:
		r.Detail = s.Name + " was not touched"
	default:
		r.Detail = fmt.Sprintf("%s is %s, %s", s.Name, text.Digest(in.Want.Digest), onGPU(s.Size, s.VRAM))
	}
	if s.Busy {
		r.Detail += fmt.Sprintf(
			"; the former one (%s) still answers requests that began before, and stays in memory until they end",
			s.Former,
		)
	}
	return r, nil
}

// failed sorts errors into outcomes.
func failed(err error) (job.Result, error) {
	var half *NotOnGPUError
	switch {
	case errors.As(err, &half):
		return job.Result{Class: store.StepNotProved, Detail: err.Error()}, nil
	case errors.Is(err, ollama.ErrDiskFull):
		return job.Result{Class: store.StepDiskFull, Detail: err.Error()}, nil
	}
	return job.Result{}, err
}

func onGPU(size, vram int64) string {
	switch {
	case size == 0:
		return "not in memory"
	case vram >= size:
		return "all of it on the GPU"
	case vram == 0:
		return "all of it on the CPU"
	}
	return fmt.Sprintf("%.0f %% of it on the GPU", 100*float64(vram)/float64(size))
}
