package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
	"github.com/retraind/retraind/watch/labelfiles"
	"github.com/retraind/retraind/watch/natssource"
	"github.com/retraind/retraind/watch/postgres"
	"github.com/retraind/retraind/watch/webhook"
)

// openSources makes the sources that a model's labels section names.
func (k *keeper) openSources(m *configs.Model) error {
	decoder := func(s labelevent.Mapping) *labelevent.Decoder {
		return labelevent.NewDecoder(s, m.Serving.List(), m.Heldout.Group)
	}
	if c := m.Labels.Postgres; c != nil {
		pg, err := postgres.New(k.name, c, k.sink, func(int) { k.coal.Poke(int(k.sink.news.Swap(0))) }, k.d.log)
		if err != nil {
			return &SourceError{k.name, watch.SourcePostgres, err}
		}
		k.sources = append(k.sources, pg)
	}
	if c := m.Labels.Files; c != nil {
		k.sources = append(k.sources, labelfiles.New(k.name, c, decoder(c.Mapping), k.sink, k.coal.Poke, k.d.log))
	}
	if c := m.Labels.NATS; c != nil {
		embedded := k.d.loaded.Load().File.NATS.UsesEmbedded()
		k.sources = append(k.sources, natssource.New(k.name, c, k.d.nats, embedded, decoder(c.Mapping), k.sink, k.coal.Poke, k.d.log))
	}
	if c := m.Labels.HTTP; c != nil {
		k.sources = append(k.sources, webhook.New(k.name, c, decoder(c.Mapping), k.sink, k.coal.Poke, k.d.log))
	}
	return nil
}

// runSources runs all sources until ctx ends, or one of them gives up.
func (k *keeper) runSources(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range k.sources {
		group.Go(func() error { return s.Run(ctx) })
	}
	return group.Wait()
}

// reading says whether a source has neither read what is there nor met with trouble yet. A start after that was over
// once does not begin it again.
func (k *keeper) reading() bool {
	if k.last != nil && !slices.ContainsFunc(k.last.Blocked, func(b policy.Blocker) bool { return b.Reason == policy.ReasonInsufficientData }) {
		return false
	}
	return slices.ContainsFunc(k.sources, func(s watch.Source) bool {
		h := s.Health()
		return !h.Up && h.Error == ""
	})
}

// prober is a source that can say beforehand what would keep it from working.
type prober interface {
	Probe(context.Context) error
}

// firstContact proves, before anything was ever read, that each source is as configured: a wrong password should fail
// the start. Later a source may be away, and the daemon waits for it.
func (k *keeper) firstContact(ctx context.Context) error {
	if err := k.adoptTestSet(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 15*time.Second)
	defer stop()
	for _, s := range k.sources {
		p, ok := s.(prober)
		if !ok {
			continue
		}
		read, err := k.sink.Marks(ctx, s.Name())
		if err != nil {
			return err
		}
		if len(read) > 0 {
			continue
		}
		if err := p.Probe(ctx); err != nil {
			return &SourceError{k.name, s.Name(), err}
		}
	}
	return nil
}

// SourceError says which source of labels keeps a daemon from starting.
type SourceError struct {
	Model, Source string
	Err           error
}

func (e *SourceError) Error() string { return "labels from " + e.Source + ": " + e.Err.Error() }

func (e *SourceError) Unwrap() error { return e.Err }

// news are changes that nobody was told of yet.
type news struct {
	changes, own int
	sources      []string // where they came from
}

func (n *news) count(c store.Change) {
	n.changes++
	if isOwn(c) {
		n.own++
	}
	if !slices.Contains(n.sources, c.Source) {
		n.sources = append(n.sources, c.Source)
		slices.Sort(n.sources)
	}
}

// away is what keeps labels from being followed, "" when all sources are up or have not tried yet.
func away(sources []status.Source) string {
	var parts []string
	for _, s := range sources {
		if !s.Up && s.Error != "" {
			parts = append(parts, s.Error)
		}
	}
	return strings.Join(parts, "; ")
}
