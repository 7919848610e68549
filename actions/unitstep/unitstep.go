// Package unitstep starts, stops or restarts a systemd unit for a step of a pipeline, or undoes that.
//
// It runs as a job under the step supervisor and calls systemctl, which asks polkit for permission as the daemon's
// user. systemctl returns once the unit has started or stopped; the job then checks the unit's state. The state before
// the action is stored in a file of the run. Two jobs of a run must not act on the same unit at the same time. It never
// reloads or changes unit files.
package unitstep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
)

// Input is the input of the job.
type Input struct {
	Unit   string `json:"unit"`
	Action string `json:"action"` // restart, stop or start
	Before string `json:"before"` // file of the run that records the unit's state before the step
	Back   bool   `json:"back,omitempty"`
	Always bool   `json:"always,omitempty"` // undo a restart even if this run has not begun it
}

// Do performs one action or undoes it. To undo it, Do starts a stopped unit if it was active before, stops a started
// one if it was not active, and restarts a restarted one again. A repeated call changes nothing, except that it repeats
// a restart.
func Do(ctx context.Context, j job.Job) (job.Result, error) {
	var in Input
	if err := j.Decode(&in); err != nil {
		return job.Result{}, err
	}
	was, err := state(ctx, in.Unit)
	if err != nil {
		return job.Result{}, err
	}
	action := in.Action
	if in.Back {
		if action, err = opposite(in); err != nil || action == "" {
			return job.Result{Class: store.StepOK, Detail: "nothing to undo: the step did not change " + in.Unit}, err
		}
	} else if err := durable.WriteOnce(in.Before, []byte(was), 0o600); err != nil {
		return job.Result{}, err
	}
	cmd := exec.CommandContext(ctx, "systemctl", "--no-ask-password", action, in.Unit)
	if out, err := cmd.CombinedOutput(); err != nil {
		return job.Result{}, fmt.Errorf("systemctl %s %s: %w: %s", action, in.Unit, err, text.OneLine(string(out), 300))
	}
	now, err := state(ctx, in.Unit)
	if err != nil {
		return job.Result{}, err
	}
	if up := now == "active"; up != (action != "stop") {
		return job.Result{}, fmt.Errorf("%s is %s after systemctl %s: see journalctl -u %s", in.Unit, now, action, in.Unit)
	}
	return job.Result{Class: store.StepOK, Detail: in.Unit + " is " + now}, nil
}

// state returns the unit's state: active, inactive, failed and so on. A missing or masked unit is an error.
func state(ctx context.Context, unit string) (string, error) {
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=LoadState,ActiveState", "--value", unit).Output()
	if err != nil {
		return "", fmt.Errorf("systemctl show %s: %w", unit, err)
	}
	fields := strings.Fields(string(out))
	if len(fields) != 2 {
		return "", fmt.Errorf("systemctl show %s: it printed %q", unit, out)
	}
	switch fields[0] {
	case "not-found":
		return "", fmt.Errorf("there is no unit %s on this machine: correct unit", unit)
	case "masked":
		return "", fmt.Errorf("unit %s is masked: systemctl unmask %s", unit, unit)
	}
	return fields[1], nil
}

// opposite returns the action that undoes in.Action, "" if there is nothing to undo.
func opposite(in Input) (string, error) {
	was, err := os.ReadFile(in.Before)
	switch {
	case in.Action == "restart" && (err == nil || in.Always):
		return in.Action, nil // the unit loads the restored release at its start
	case errors.Is(err, fs.ErrNotExist), err == nil && len(was) == 0:
		return "", nil // this run has not begun the action
	case err != nil:
		return "", err
	case in.Action == "stop" && string(was) == "active":
		return "start", nil
	case in.Action == "start" && string(was) != "active":
		return "stop", nil
	}
	return "", nil
}
