package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/docker"
)

// Containers implements Hand for the containers of docker compose services.
type Containers struct {
	Engine *docker.Client
}

var _ Hand = Containers{}

// defaultGrace is the engine's stop timeout for a container that does not set one.
const defaultGrace = 10 * time.Second

// Find returns the running containers of a compose service. It fails if one of them could not be started again; the
// caller must then stop nothing.
func (c Containers) Find(ctx context.Context, dir, service, healthy string) ([]Thing, error) {
	all, err := c.of(ctx, dir, service)
	if err != nil {
		return nil, err
	}
	var things []Thing
	for _, e := range all {
		if !runs(e) {
			continue
		}
		if e.AutoRemove {
			return nil, fmt.Errorf(
				"container %s of compose service %s could not be started again: the engine removes it when it ends (--rm)",
				e.Name, service)
		}
		things = append(things, containerThing(e, dir, healthy))
	}
	return things, nil
}

// of lists the containers of a service.
func (c Containers) of(ctx context.Context, dir, service string) ([]docker.Container, error) {
	all, err := c.Engine.Labelled(ctx, docker.LabelService+"="+service)
	return slices.DeleteFunc(all, func(e docker.Container) bool { return !e.In(dir) }), err
}

// runs reports whether a container holds memory, or will again at once because of its restart policy.
func runs(e docker.Container) bool { return e.Running() || e.State == "restarting" }

func containerThing(e docker.Container, dir, healthy string) Thing {
	c := Container{
		ID: e.ID, Name: e.Name, Image: e.Image, Project: e.Project(), Service: e.Service(), Dir: dir, Policy: e.Restart,
		Started: e.Started, Grace: cmp.Or(e.StopTimeout, defaultGrace),
	}
	for _, p := range e.Ports {
		c.Ports = append(c.Ports, p.Host)
	}
	return Thing{Kind: KindContainer, Healthy: healthy, Container: &c}
}

// Look implements Hand.
func (c Containers) Look(ctx context.Context, t Thing) (State, error) {
	e, err := c.Engine.Container(ctx, t.Container.ID)
	if errors.Is(err, docker.ErrNotFound) {
		return c.successor(ctx, t)
	}
	if err != nil {
		return State{}, fmt.Errorf("%s: %w", t, err)
	}
	if !runs(e) {
		return State{Standing: Off}, nil
	}
	s := State{
		Standing: Again, Ready: e.Running() && (e.Health == docker.NoHealth || e.Health == docker.Healthy),
		Thing: containerThing(e, t.Container.Dir, t.Healthy),
	}
	if e.Started.Equal(t.Container.Started) {
		s.Standing = Untouched
	}
	if !s.Ready {
		s.Detail = strings.TrimSpace("it is " + e.State + " " + string(e.Health))
	}
	return s, nil
}

// successor returns the state of a thing whose container was removed: Exchanged if its service has another container,
// else Gone.
func (c Containers) successor(ctx context.Context, t Thing) (State, error) {
	all, err := c.of(ctx, t.Container.Dir, t.Container.Service)
	if err != nil {
		return State{}, fmt.Errorf("%s: %w", t, err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name+" "+short(e.ID))
	}
	if len(names) == 0 {
		return State{Standing: Gone, Detail: "container " + short(t.Container.ID) + " was removed"}, nil
	}
	return State{Standing: Exchanged, Detail: "container " + short(t.Container.ID) + " was removed, and there is now " +
		strings.Join(names, ", ")}, nil
}

func short(id string) string { return id[:min(12, len(id))] }

// Stop implements Hand.
func (c Containers) Stop(ctx context.Context, t Thing) error {
	return c.Engine.Stop(ctx, t.Container.ID, cmp.Or(t.Container.Grace, defaultGrace))
}

// Start implements Hand.
func (c Containers) Start(ctx context.Context, t Thing) error {
	return c.Engine.Start(ctx, t.Container.ID)
}
