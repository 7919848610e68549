package actions

import "context"

// strategy is one way to deploy a release and to roll back to the former one. The former release is put back into
// service after a failed verification, after a failed probation, and when another model is served. In the last two
// cases a separate run does this, often days later, with the steps of the plan that deployed the release.
type strategy interface {
	// deploy puts the candidate into service. A repeated call continues the earlier one.
	deploy(ctx context.Context, p Plan, a Action, step Step, done []Outcome) (Outcome, error)
	// undeploy puts the plan's champion back into service. If the deployment changed nothing, undeploy changes nothing.
	undeploy(ctx context.Context, p Plan, a Action, step Step) (Outcome, error)
}

// strategy returns the strategy of a step.
func (x *Executor) strategy(step Step) strategy {
	switch {
	case step.Compose != nil:
		return composeStrategy{x}
	case step.Ollama != nil:
		return ollamaStrategy{x}
	case step.Restart != nil:
		return restartStrategy{x}
	}
	return linkStrategy{x}
}

// servesRelease reports whether a step deploys the release.
func (b Builtin) servesRelease() bool { return b == DoRelease || b == DoDeploy }

// linkStrategy lets the link `current` point to the release: the service follows the link, or the user's commands do
// the rest.
type linkStrategy struct{ *Executor }

func (s linkStrategy) deploy(ctx context.Context, p Plan, _ Action, step Step, done []Outcome) (Outcome, error) {
	bounded, stop := s.bounded(ctx, p, step)
	defer stop()
	out, err := s.release(bounded, p, done)
	return ended(step, out, err)
}

func (s linkStrategy) undeploy(ctx context.Context, p Plan, _ Action, _ Step) (Outcome, error) {
	return s.unrelease(ctx, p)
}
