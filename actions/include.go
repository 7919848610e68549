package actions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// maxSteps is the maximum number of steps of a pipeline, including those of included pipelines.
const maxSteps = 200

// placed is a step with its position in the requested pipeline. An included step has the position of the step that
// includes it.
type placed struct {
	StepConfig
	at   string // such as [2]
	from string // the pipeline in which it is written
}

// Steps returns the steps of a pipeline, with the steps of included pipelines in place. It returns nil if they cannot
// be resolved, which ValidatePipeline reports.
func Steps(pipelines map[string][]StepConfig, name string) []StepConfig {
	list, problem := included(pipelines, name)
	if problem != nil {
		return nil
	}
	steps := make([]StepConfig, len(list))
	for i, s := range list {
		steps[i] = s.StepConfig
	}
	return steps
}

// included returns the steps of a pipeline, with each included pipeline replaced by its steps.
func included(pipelines map[string][]StepConfig, name string) ([]placed, *check.Problem) {
	var list []placed
	for i, s := range pipelines[name] {
		at := check.Index("", i)
		found, problem := unfold(pipelines, s, at, []string{name})
		if problem != nil {
			return nil, problem
		}
		if list = append(list, found...); len(list) > maxSteps {
			return nil, &check.Problem{
				Path: at, Message: fmt.Sprintf("the pipeline has more than %d steps", maxSteps),
				Hint: "include each pipeline once",
			}
		}
	}
	return list, nil
}

// unfold returns a step, or those of the pipeline that it includes; within names the enclosing pipelines.
func unfold(pipelines map[string][]StepConfig, s StepConfig, at string, within []string) ([]placed, *check.Problem) {
	include, ok := s.StepType.(*IncludeStep)
	if !ok {
		return []placed{{s, at, within[len(within)-1]}}, nil
	}
	steps, known := pipelines[include.Pipeline]
	switch {
	case !known:
		p := &check.Problem{
			Path: at + ".pipeline", Message: fmt.Sprintf("the model has no pipeline %q", include.Pipeline),
			Hint: "name one of this model's pipelines",
		}
		var names []string
		for name := range pipelines {
			names = append(names, name)
		}
		if near := check.Nearest(include.Pipeline, names); near != "" {
			p.Hint = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, p
	case slices.Contains(within, include.Pipeline):
		round := strings.Join(append(slices.Clone(within), include.Pipeline), " -> ")
		return nil, &check.Problem{
			Path: at + ".pipeline", Message: "pipelines include each other in a circle: " + round,
			Hint: "remove one of these includes",
		}
	}
	within = append(slices.Clone(within), include.Pipeline)
	var list []placed
	for _, s := range steps {
		found, problem := unfold(pipelines, s, at, within)
		if problem != nil {
			return nil, problem
		}
		if list = append(list, found...); len(list) > maxSteps {
			break // the caller reports it
		}
	}
	return list, nil
}
