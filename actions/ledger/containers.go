package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Engine is what the ledger asks a container engine for. Each call is one request; none pulls, builds or removes.
type Engine interface {
	// Containers lists the containers of a compose service, by the directory of its file, also those that do not run.
	Containers(ctx context.Context, dir, service string) ([]EngineContainer, error)
	// Inspect returns one container, ErrNoContainer where the engine has none of that id.
	Inspect(ctx context.Context, id string) (EngineContainer, error)
	Start(ctx context.Context, id string) error
	// Stop waits for the end; the engine kills the container after the grace.
	Stop(ctx context.Context, id string, grace time.Duration) error
}

// ErrNoContainer says that the engine does not have a container.
var ErrNoContainer = errors.New("no such container")

// EngineContainer is a container as its engine has it.
type EngineContainer struct {
	Container
	Running bool
	Health  string // starting, healthy or unhealthy; "" without a health check
	Passing bool   // the engine removes it when it ends
}

// Containers is the Hand for containers of compose services.
type Containers struct {
	Engine Engine
}

var _ Hand = Containers{}

// defaultGrace is the engine's own for a container that says nothing else.
const defaultGrace = 10 * time.Second

// Find returns the running containers of a compose service. Those that could not be started again are an error: nothing
// may be stopped then.
func (c Containers) Find(ctx context.Context, dir, service, healthy string) ([]Thing, error) {
	all, err := c.Engine.Containers(ctx, dir, service)
	if err != nil {
		return nil, fmt.Errorf("compose service %s of %s: %w", service, dir, err)
	}
	var things []Thing
	for _, e := range all {
		if !e.Running {
			continue
		}
		if e.Passing {
			return nil, fmt.Errorf(
				"container %s of compose service %s could not be started again: the engine removes it when it ends (--rm)",
				e.Name, service)
		}
		things = append(things, c.thing(e, healthy))
	}
	return things, nil
}

func (c Containers) thing(e EngineContainer, healthy string) Thing {
	e.Grace = cmp.Or(e.Grace, defaultGrace)
	return Thing{Kind: KindContainer, Healthy: healthy, Container: &e.Container}
}

// Look implements Hand.
func (c Containers) Look(ctx context.Context, t Thing) (State, error) {
	e, err := c.Engine.Inspect(ctx, t.Container.ID)
	if errors.Is(err, ErrNoContainer) {
		return c.successor(ctx, t)
	}
	if err != nil {
		return State{}, fmt.Errorf("%s: %w", t, err)
	}
	if !e.Running {
		return State{Standing: Off}, nil
	}
	s := State{Standing: Again, Ready: e.Health == "" || e.Health == "healthy", Thing: c.thing(e, t.Healthy)}
	if e.Started.Equal(t.Container.Started) {
		s.Standing = Untouched
	}
	if !s.Ready {
		s.Detail = "its health check says " + e.Health
	}
	return s, nil
}

// successor looks for what took the place of a container that is gone.
func (c Containers) successor(ctx context.Context, t Thing) (State, error) {
	all, err := c.Engine.Containers(ctx, t.Container.Dir, t.Container.Service)
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
	return State{Standing: Exchanged, Detail: "container " + short(t.Container.ID) + " was removed, there is " +
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
