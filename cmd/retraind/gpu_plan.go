package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
)

// modelPlan describes what a run of a model would do now to get a GPU.
type modelPlan struct {
	Model    string   `json:"model"`
	Pipeline string   `json:"pipeline"`
	Steps    []string `json:"steps"` // that need the GPU, or ask Ollama on it
	// Needs describes what one device must have.
	Needs   string      `json:"needs"`
	Verdict gpu.Verdict `json:"verdict"`
	// Room lists the steps of the pipeline that free the GPU, and how their effect is reverted.
	Room []roomStep `json:"room,omitempty"`
	// Stops lists what a run would stop by gpu.stop, in the order of the configuration.
	Stops []stoppedThing `json:"stops,omitempty"`
}

// stoppedThing is the present state of one thing of gpu.stop.
type stoppedThing struct {
	Thing string `json:"thing"`
	Runs  bool   `json:"runs"`
	State string `json:"state,omitempty"` // why it would not be stopped
	Back  string `json:"back,omitempty"`  // how it is started again
	Fault string `json:"fault,omitempty"` // why a run would stop nothing and end as blocked
}

// roomStep is a step that frees memory before the first GPU step.
type roomStep struct {
	Step string `json:"step"`
	Does string `json:"does"`
	Back string `json:"back"`
}

// plansOf checks for every pipeline that needs a GPU whether it would get one, and lists what a run would stop, by
// gpu.stop or by a step of the pipeline.
func plansOf(ctx context.Context, file *configs.File, devices []gpu.Device) []modelPlan {
	plans := []modelPlan{}
	for _, name := range file.Names() {
		m := file.Models[name]
		if m.GPU == nil {
			continue
		}
		for _, pipeline := range slices.Sorted(maps.Keys(m.Pipeline)) {
			plan := modelPlan{Model: name, Pipeline: pipeline}
			steps := actions.Resolve(m.Steps(pipeline), m.Deploy, "")
			actions.MarkOllama(steps, m.Serving, m.StopsForGPU())
			first := "" // the first step that itself runs on the GPU
			for _, s := range steps {
				if s.GPU || s.OllamaOnGPU {
					plan.Steps = append(plan.Steps, s.Name)
				}
				if s.GPU && first == "" {
					first = s.Name
				}
			}
			if len(plan.Steps) == 0 {
				continue
			}
			// Without measured peaks the configured need is used.
			need, _ := peaksOf(file).Need(name, first)
			plan.Needs = m.GPU.Wants(need)
			plan.Verdict = gpu.Consider(*m.GPU, need, devices)
			plan.Room, plan.Stops = roomOf(m.Steps(pipeline), steps), stoppedThings(ctx, file, m.GPU.Stop)
			plans = append(plans, plan)
		}
	}
	return plans
}

// stoppedThings returns the state of each entry of gpu.stop.
func stoppedThings(ctx context.Context, file *configs.File, stop []gpu.StopConfig) []stoppedThing {
	l := ledger.Open(file.State)
	var list []stoppedThing
	for _, c := range stop {
		things, err := l.Find(ctx, c)
		switch {
		case err != nil:
			list = append(list, stoppedThing{Thing: c.String(), Fault: err.Error()})
		case len(things) == 0:
			state := "not running, stays off"
			if len(c.Ollama) > 0 {
				state = "not loaded"
			}
			list = append(list, stoppedThing{Thing: c.String(), State: state})
		}
		for _, t := range things {
			list = append(list, stoppedThing{Thing: t.String(), Runs: true, Back: t.Return()})
		}
	}
	return list
}

// roomOf lists the steps before the first GPU step that free memory. These are commands with an undo, and steps that
// stop a service or unload a model.
func roomOf(steps []actions.StepConfig, resolved []actions.Step) []roomStep {
	var room []roomStep
	for i, s := range steps {
		if s.NeedsGPU() {
			break
		}
		if does, back := resolved[i].Stops(); does != "" {
			room = append(room, roomStep{resolved[i].Name, does, back})
		}
		if c := s.Command(); c != nil && len(c.Undo) > 0 {
			room = append(room, roomStep{c.Name, strings.Join(c.Exec, " "), strings.Join(c.Undo, " ")})
		}
	}
	return room
}
