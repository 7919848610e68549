package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/store"
)

// Action is what a step does with a service.
type Action string

// The actions.
const (
	Restart Action = "restart"
	Stop    Action = "stop"
	Start   Action = "start"
	Up      Action = "up" // recreate the container if the compose file changed, and start it
)

// Act is the input of a job that performs or undoes one action.
type Act struct {
	Service Service `json:"service"`
	Action  Action  `json:"action"`
	Before  string  `json:"before"` // file of the run that records whether the service ran before the step
	Back    bool    `json:"back,omitempty"`
	Always  bool    `json:"always,omitempty"` // undo a restart even if this run has not begun it
}

const (
	ran    = "running\n"
	didNot = "not running\n"
)

// Do performs one action or undoes it. To undo it, Do starts a stopped service if it ran before, stops a started one if
// it did not run before, and restarts a restarted one again. A repeated call changes nothing, except that it repeats a
// restart.
func Do(ctx context.Context, j job.Job) (job.Result, error) {
	var in Act
	if err := j.Decode(&in); err != nil {
		return job.Result{}, err
	}
	s, err := locate(ctx, in.Service)
	if err != nil {
		return job.Result{}, err
	}
	defer s.engine.Close()
	action := in.Action
	if in.Back {
		if action, err = opposite(in); err != nil || action == "" {
			return job.Result{Class: store.StepOK, Detail: "nothing to undo: the step did not change service " + s.Name}, err
		}
	} else if err := noteBefore(in.Before, s.now); err != nil {
		return job.Result{}, err
	}
	if err := s.act(ctx, action); err != nil {
		return job.Result{}, err
	}
	if action == Stop {
		return job.Result{Class: store.StepOK, Detail: "service " + s.Name + " is stopped"}, nil
	}
	c, err := s.await(ctx, wanted{})
	if err != nil {
		return job.Result{}, err
	}
	detail := fmt.Sprintf("container %s has been running since %s UTC", c.Name, c.Started.UTC().Format(time.TimeOnly))
	return job.Result{Class: store.StepOK, Detail: detail}, nil
}

func (s *site) act(ctx context.Context, action Action) error {
	if action == Up {
		full, err := find(ctx, s.Service)
		if err != nil {
			return err
		}
		defer full.engine.Close()
		return full.up(ctx)
	}
	if s.now == nil {
		if action == Stop {
			return nil
		}
		return fmt.Errorf("compose: service %s in %s has no container: bring it up once, or use action: up", s.Name, s.Dir)
	}
	if action != Start {
		if err := s.engine.Stop(ctx, s.now.ID, 0); err != nil || action == Stop {
			return err
		}
	}
	return s.engine.Start(ctx, s.now.ID)
}

// noteBefore records whether the service runs before the action; it keeps the record of an earlier attempt.
func noteBefore(path string, now *docker.Container) error {
	text := didNot
	if now != nil && now.Running() {
		text = ran
	}
	return durable.WriteOnce(path, []byte(text), 0o600)
}

// opposite returns the action that undoes in.Action, "" if there is nothing to undo.
func opposite(in Act) (Action, error) {
	b, err := os.ReadFile(in.Before)
	switch {
	case in.Action == Restart && (err == nil || in.Always):
		return Restart, nil // the service loads the restored release at its start
	case errors.Is(err, fs.ErrNotExist):
		return "", nil // this run has not begun the action
	case err != nil:
		return "", err
	case in.Action == Stop && string(b) == ran:
		return Start, nil
	case in.Action == Start && string(b) == didNot:
		return Stop, nil
	}
	return "", nil
}

// locate finds a service by its container only, for actions that need no compose file.
func locate(ctx context.Context, s Service) (*site, error) {
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("compose: %s is not a directory: correct dir", s.Dir)
	}
	engine, err := docker.New("")
	if err != nil {
		return nil, err
	}
	all, err := engine.Labelled(ctx, docker.LabelService+"="+s.Name)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c docker.Container) bool { return !c.In(s.Dir) })
	out := &site{Service: s, engine: engine}
	if len(all) == 0 {
		return out, nil
	}
	if out.Project == "" {
		out.Project = all[0].Project()
	}
	return out, out.look(ctx)
}
