package ollamatags

import (
	"context"
	"errors"
	"fmt"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// StageWork creates the name of a candidate: its input is a MakeInput, the data of its result a Made.
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
		Detail: fmt.Sprintf("%s was created, and answers: %s in memory, %s",
			m.Name, text.Bytes(m.Size), onGPU(m.Size, m.VRAM)),
	}, nil
}

// SwitchWork makes the name that clients use refer to a release: its input is a SwitchInput, the data of its result a
// Switched.
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
		r.Detail = s.Name + " was removed, because it did not exist before"
	case in.Want == nil:
		r.Detail = s.Name + " was not changed"
	default:
		r.Detail = fmt.Sprintf("%s is now release %s, %s", s.Name, text.Digest(in.Want.Digest), onGPU(s.Size, s.VRAM))
	}
	if s.Busy {
		r.Detail += fmt.Sprintf(
			"; the former model (%s) still answers earlier requests, and stays in memory until they end",
			s.Former,
		)
	}
	return r, nil
}

// failed maps errors to outcomes.
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
	return fmt.Sprintf("%.0f%% of it on the GPU", 100*float64(vram)/float64(size))
}
