package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/systemd"
)

// Open returns the ledger of a state directory. It uses the Docker engine of DOCKER_HOST, systemd, and Ollama, and
// connects to none of them yet.
func Open(state string) *Ledger {
	l := &Ledger{Dir: Dir(state), Hands: map[Kind]Hand{KindUnit: Units{}, KindModel: Models{}}}
	engine, err := docker.New("")
	if err != nil {
		l.Hands[KindContainer] = unreachable{err}
	} else {
		l.Hands[KindContainer] = Containers{engine}
	}
	return l
}

// unreachable is a Hand whose service cannot be used on this host.
type unreachable struct{ err error }

func (u unreachable) Look(context.Context, Thing) (State, error) { return State{}, u.err }
func (u unreachable) Stop(context.Context, Thing) error          { return u.err }
func (u unreachable) Start(context.Context, Thing) error         { return u.err }

// Find lists the running things that an entry of gpu.stop names. It fails if one of them could not be started again.
func (l *Ledger) Find(ctx context.Context, c gpu.StopConfig) ([]Thing, error) {
	switch {
	case c.Compose != nil:
		h, ok := l.Hands[KindContainer].(Containers)
		if !ok {
			_, err := l.Look(ctx, Thing{Kind: KindContainer})
			return nil, fmt.Errorf("%s: %w", c, err)
		}
		return h.Find(ctx, c.Compose.Dir, c.Compose.Service, c.Compose.Healthy)
	case c.Unit != "":
		h, ok := l.Hands[KindUnit].(Units)
		if !ok {
			return nil, fmt.Errorf("%s: systemd cannot be reached", c)
		}
		return h.Find(ctx, systemd.UnitName(c.Unit), c.Healthy)
	default:
		return Models{}.Find(ctx, c.Server, c.Models(), time.Now())
	}
}

// Named reports whether an entry of gpu.stop names the thing.
func Named(t Thing, stop []gpu.StopConfig) bool {
	return slices.ContainsFunc(stop, func(c gpu.StopConfig) bool {
		switch {
		case t.Container != nil:
			return c.Compose != nil && c.Compose.Dir == t.Container.Dir && c.Compose.Service == t.Container.Service
		case t.Unit != nil:
			return c.Unit != "" && systemd.UnitName(c.Unit) == t.Unit.Name
		case t.Loaded != nil && len(c.Ollama) > 0 && c.Server == t.Loaded.URL:
			names := c.Models()
			return len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return tagged(n) == tagged(t.Loaded.Name) })
		}
		return false
	})
}

// Holds reports whether a process on a GPU belongs to one of the things. A process of Ollama for which no model is
// known counts for each of Ollama's models, since Ollama lists no model while it is freeing memory.
func Holds(entries []Entry, p gpu.Process) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool {
		switch {
		case e.Container != nil:
			return p.Container == e.Container.ID
		case e.Unit != nil:
			return p.Container == "" && p.Unit == e.Unit.Name
		case e.Loaded != nil:
			return p.Kind() == gpu.KindOllama && (p.Model == "" || tagged(p.Model) == tagged(e.Loaded.Name))
		}
		return false
	})
}
