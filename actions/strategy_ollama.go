package actions

import (
	"context"

	"github.com/retraind/retraind/actions/ollamatags"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
)

// The kinds of the jobs that create and switch names on an Ollama server.
const (
	JobOllamaStage  = "ollama-stage"
	JobOllamaSwitch = "ollama-switch"
)

// ollamaStrategy lets the name that clients use point to the release, for which stage has created a name. A rollback
// lets it point to the former release again. The link `current` is switched too, for programs that read it.
type ollamaStrategy struct{ *Executor }

func (s ollamaStrategy) deploy(ctx context.Context, p Plan, a Action, step Step, done []Outcome) (Outcome, error) {
	if !runner.Claimed(AttemptDir(p.RunDir, attemptName(step, a), a.Attempt)) {
		linked, err := linkStrategy(s).deploy(ctx, p, a, step, done)
		if err != nil || linked.Class != store.StepOK {
			return linked, err
		}
	}
	gate := gated(done)
	return s.give(ctx, p, a, step, ollamatags.SwitchInput{
		Want: &ollamatags.Release{Digest: gate.Release, Dir: p.releaseDir()}, Former: p.Champion,
	})
}

func (s ollamaStrategy) undeploy(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	touched, err := s.touched(ctx, p, step)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	out, err := s.unrelease(ctx, p)
	if err != nil || out.Class != store.StepOK || !touched {
		return out, err
	}
	in := ollamatags.SwitchInput{Refused: p.refused()}
	if p.Champion != "" {
		dir, err := s.championDir(ctx, p)
		if err != nil {
			return failed(ctx, store.StepFailed, err)
		}
		if IsAdopted(p.Champion) {
			dir = "" // an adopted release has no files
		}
		in.Want, in.Former = &ollamatags.Release{Digest: p.Champion, Dir: dir}, in.Refused
	}
	back, err := s.give(ctx, p, a, step, in)
	if err == nil && back.Class == store.StepOK {
		back.Detail = out.Detail + "; " + back.Detail
	}
	return back, err
}

// give switches the name in a child process.
func (x *Executor) give(ctx context.Context, p Plan, a Action, step Step, in ollamatags.SwitchInput) (Outcome, error) {
	out, _, err := x.child(ctx, p, a, step, JobOllamaSwitch, func(string) (any, error) {
		in.Place, in.Keep = p.ollamaPlace(step.Ollama), step.Ollama.keep()
		var err error
		in.Ask, err = p.canary()
		return in, err
	})
	return out, err
}
