package actions

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/unitstep"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// The steps that control a service, and the kinds of their jobs.
const (
	DoCompose Builtin = "compose"
	DoUnit    Builtin = "unit"

	JobComposeAct = "compose-act"
	JobUnitAct    = "unit-act"
)

// ServiceAction is the operation of a step on a service or a unit.
type ServiceAction string

// The actions.
const (
	ActionRestart ServiceAction = "restart"
	ActionStop    ServiceAction = "stop"
	ActionStart   ServiceAction = "start"
	ActionUp      ServiceAction = "up"
)

// ComposeStep performs one operation on a service of docker compose.
type ComposeStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
	// Dir is the directory with the compose file.
	Dir string `yaml:"dir"`
	// Service is the name of the service in the compose file.
	Service string `yaml:"service"`
	// Action is what to do with the service: restart, stop, start, or up, which creates the container again if the
	// compose file has changed. If the run fails, stop and start are undone, and a restart is repeated.
	Action ServiceAction `yaml:"action"`
	// HealthyWithin is how long the container may take to become healthy; default 2m.
	HealthyWithin unit.Duration `yaml:"healthy_within"`
}

// UnitStep performs one operation on a systemd unit.
type UnitStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
	// Unit is the name of the systemd unit.
	Unit string `yaml:"unit"`
	// Action is what to do with the unit: restart, stop or start. If the run fails, stop and start are undone, and a
	// restart is repeated.
	Action ServiceAction `yaml:"action"`
}

// Act is the operation of a ComposeStep, UnitStep or OllamaStep in a plan.
type Act struct {
	Unit    string           `json:"unit,omitempty"`
	Compose *compose.Service `json:"compose,omitempty"`
	Ollama  *OllamaAct       `json:"ollama,omitempty"`
	Action  ServiceAction    `json:"action,omitempty"` // on a unit or a service
}

func (s *ComposeStep) builtin() Builtin                        { return DoCompose }
func (s *UnitStep) builtin() Builtin                           { return DoUnit }
func (s *ComposeStep) paths(_ string, abs func(string) string) { s.Dir = abs(s.Dir) }
func (s *UnitStep) resolve(to *Step, _ *DeployConfig, _ string) {
	to.Act = &Act{Unit: s.Unit, Action: s.Action}
}

func (s *ComposeStep) resolve(to *Step, _ *DeployConfig, _ string) {
	to.Act = &Act{
		Compose: &compose.Service{Dir: s.Dir, Name: s.Service, Within: s.HealthyWithin.D()}, Action: s.Action,
	}
}

func (s *ComposeStep) validate(p *check.Problems, here string) {
	s.StepCommon.validate(p, here)
	if s.Dir == "" {
		p.Errorf(here+".dir", "name the directory of the compose file", "dir is missing")
	}
	if !serviceName.MatchString(s.Service) {
		p.Errorf(here+".service", "write the service's name in the compose file", "%q cannot name a service", s.Service)
	}
	s.Action.validate(p, here, true)
	if s.HealthyWithin < 0 {
		p.Errorf(here+".healthy_within", "write a duration such as 2m", "%v is negative", s.HealthyWithin)
	}
}

func (s *UnitStep) validate(p *check.Problems, here string) {
	s.StepCommon.validate(p, here)
	if !unitName.MatchString(s.Unit) {
		p.Errorf(here+".unit", "write a name such as classifier.service", "%q cannot name a unit", s.Unit)
	}
	s.Action.validate(p, here, false)
}

func (a ServiceAction) validate(p *check.Problems, here string, up bool) {
	switch {
	case a == ActionRestart, a == ActionStop, a == ActionStart, a == ActionUp && up:
	case up:
		p.Errorf(here+".action", "write restart, stop, start or up", "unknown action %q", a)
	default:
		p.Errorf(here+".action", "write restart, stop or start", "unknown action %q", a)
	}
}

// hasUndo reports whether a step has an effect to undo. Unloaded models are restored from the ledger instead.
func (s Step) hasUndo() bool {
	return s.Do.servesRelease() || len(s.Undo) > 0 || s.Act != nil && s.Act.Action != ActionUp && !s.unloads()
}

// Stops describes what a step stops or unloads on the host, and what starts it again. Both are empty for a step that
// stops nothing.
func (s Step) Stops() (does, back string) {
	switch {
	case s.unloads():
		return "unloads " + s.Act.Ollama.named().String(), "loaded again by a later step, or else at the end of the run"
	case s.Act == nil || s.Act.Action != ActionStop:
		return "", ""
	case s.Act.Compose != nil:
		return fmt.Sprintf("stops service %s of %s", s.Act.Compose.Name, s.Act.Compose.Dir), backLater
	}
	return "stops unit " + s.Act.Unit, backLater
}

const backLater = "started again by a later step, or when the run fails"

// act performs a step's operation on a service, unit or model, or undoes it.
func (x *Executor) act(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if step.Act.Ollama != nil {
		return x.ollama(ctx, p, a, step)
	}
	kind := JobComposeAct
	if step.Act.Compose == nil {
		kind = JobUnitAct
	}
	out, _, err := x.child(ctx, p, a, withDocker(step), kind, func(string) (any, error) {
		before := p.before(step)
		if err := os.MkdirAll(filepath.Dir(before), 0o700); err != nil {
			return nil, err
		}
		back := a.Kind == ActUndo
		if kind == JobUnitAct {
			return unitstep.Input{
				Unit: step.Act.Unit, Action: string(step.Act.Action), Before: before, Back: back, Always: p.Rollback != nil,
			}, nil
		}
		return compose.Act{
			Service: *step.Act.Compose, Action: compose.Action(step.Act.Action), Before: before, Back: back,
			Always: p.Rollback != nil,
		}, nil
	})
	return out, err
}
