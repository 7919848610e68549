package ledger

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Units implements Hand for systemd units. It never reloads the configuration of systemd.
type Units struct {
	// Systemctl is the program to run; default "systemctl".
	Systemctl string
}

var _ Hand = Units{}

// Find returns the unit if it is active, nothing if it is inactive. It fails if the unit could not be started again;
// the caller must then stop nothing.
func (u Units) Find(ctx context.Context, name, healthy string) ([]Thing, error) {
	p, err := u.show(ctx, name)
	if err != nil {
		return nil, err
	}
	if p["LoadState"] == "not-found" && p["ActiveState"] == "inactive" {
		return nil, fmt.Errorf("unit %s is not known to systemd: correct gpu.stop, or install the unit", name)
	}
	if !active(p["ActiveState"]) {
		return nil, nil
	}
	switch {
	case p["LoadState"] != "loaded":
		return nil, fmt.Errorf("unit %s could not be started again: it is %s", name, p["LoadState"])
	case p["Transient"] == "yes":
		return nil, fmt.Errorf("unit %s could not be started again: it is transient (systemd-run)", name)
	case p["CanStart"] == "no" || p["CanStop"] == "no":
		return nil, fmt.Errorf("unit %s may not be started and stopped by hand (RefuseManualStart, RefuseManualStop)", name)
	}
	return []Thing{unitThing(name, healthy, p)}, nil
}

func unitThing(name, healthy string, p map[string]string) Thing {
	return Thing{
		Kind: KindUnit, Healthy: healthy,
		Unit: &Unit{Name: name, State: p["ActiveState"], Invocation: p["InvocationID"]},
	}
}

func active(state string) bool { return state == "active" || state == "reloading" }

// Look implements Hand.
func (u Units) Look(ctx context.Context, t Thing) (State, error) {
	p, err := u.show(ctx, t.Unit.Name)
	if err != nil {
		return State{}, err
	}
	state := p["ActiveState"]
	s := State{Thing: unitThing(t.Unit.Name, t.Healthy, p), Ready: active(state)}
	if !s.Ready {
		s.Detail = "it is " + state
	}
	switch {
	case active(state) || state == "activating":
		s.Standing = Again
		if p["InvocationID"] == t.Unit.Invocation {
			s.Standing = Untouched
		}
	case p["LoadState"] != "loaded":
		s.Standing, s.Detail = Gone, "the unit is "+p["LoadState"]
	case state == "deactivating":
		s.Standing = Leaving
	default:
		s.Standing = Off
	}
	return s, nil
}

// Stop implements Hand.
func (u Units) Stop(ctx context.Context, t Thing) error {
	_, err := u.run(ctx, "stop", "--", t.Unit.Name)
	return err
}

// Start implements Hand.
func (u Units) Start(ctx context.Context, t Thing) error {
	_, err := u.run(ctx, "start", "--", t.Unit.Name)
	return err
}

// show reads the properties of a unit by `systemctl show`.
func (u Units) show(ctx context.Context, name string) (map[string]string, error) {
	out, err := u.run(ctx, "show",
		"--property=LoadState,ActiveState,InvocationID,CanStart,CanStop,Transient", "--", name)
	if err != nil {
		return nil, err
	}
	p := map[string]string{}
	for line := range strings.Lines(out) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			p[key] = value
		}
	}
	if p["ActiveState"] == "" {
		return nil, fmt.Errorf("systemctl show %s: no ActiveState in its output", name)
	}
	return p, nil
}

func (u Units) run(ctx context.Context, args ...string) (string, error) {
	program := u.Systemctl
	if program == "" {
		program = "systemctl"
	}
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append([]string{"--no-ask-password"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		text, _, _ := strings.Cut(strings.TrimSpace(problem.String()), "\n")
		return "", fmt.Errorf("systemctl %s %s: %w: %s", args[0], args[len(args)-1], err, text)
	}
	return out.String(), nil
}
