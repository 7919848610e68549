package daemon

import (
	"context"
	"time"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/internal/backend"
	"github.com/retraind/retraind/internal/dataset"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/internal/gpugate"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
	"github.com/retraind/retraind/watch/labelfiles"
	"github.com/retraind/retraind/watch/natssource"
	"github.com/retraind/retraind/watch/postgres"
	"github.com/retraind/retraind/watch/webhook"
)

// openModel creates the intake and the loop of a model, and checks the sources that were never read before.
func (d *Daemon) openModel(ctx context.Context, file *configs.File, name string) (backend.Model, error) {
	rules, err := evaluator.NewRules(file, name)
	if err != nil {
		return backend.Model{}, err
	}
	intake, err := ingest.NewIntake(d.store, dataset.Config(file, name), d.log.With("model", name))
	if err != nil {
		return backend.Model{}, err
	}
	e := rules.Model.Policy.Evaluate
	m := backend.Model{
		Name: name, Intake: intake,
		Changes: watch.NewCoalescer(e.Debounce.D(), e.MaxWait.D(), e.AfterChanges),
	}
	if intake.Sources, err = d.openSources(m, rules.Model); err != nil {
		return m, err
	}
	if err := intake.Probe(ctx); err != nil {
		return m, err
	}
	m.Loop = evaluator.New(name, rules, evaluator.Options{
		Store: d.store, Runs: d.engine, Labels: intake, Changes: m.Changes, Host: d.host, Self: d.o.Self, Log: d.log,
		Beat: func() { d.progress.made(name) }, BeatEvery: d.beatEvery(), Barrier: d.barrier(),
	})
	return m, nil
}

// openSources creates the sources of a model's labels section.
func (d *Daemon) openSources(m backend.Model, c *configs.Model) (sources []watch.Source, err error) {
	decoder := func(s labelevent.Mapping) *labelevent.Decoder {
		return c.Labels.Decoder(s, c.Serving.List(), c.Heldout.Group)
	}
	if pg := c.Labels.Postgres; pg != nil {
		changed := func(int) { m.Changes.Poke(m.Intake.TakeChanged()) }
		s, err := postgres.New(m.Name, pg, m.Intake, changed, d.log)
		if err != nil {
			return nil, &ingest.SourceError{Model: m.Name, Source: watch.SourcePostgres, Err: err}
		}
		sources = append(sources, s)
	}
	if f := c.Labels.Files; f != nil {
		sources = append(sources, labelfiles.New(m.Name, f, decoder(f.Mapping), m.Intake, m.Changes.Poke, d.log))
	}
	if n := c.Labels.NATS; n != nil {
		embedded := d.loaded.Load().File.NATS.UsesEmbedded()
		sources = append(sources, natssource.New(m.Name, n, d.nats, embedded, decoder(n.Mapping), m.Intake, m.Changes.Poke,
			d.log))
	}
	if h := c.Labels.HTTP; h != nil {
		sources = append(sources, webhook.New(m.Name, h, decoder(h.Mapping), m.Intake, m.Changes.Poke, d.log))
	}
	return sources, nil
}

func (d *Daemon) model(name string) (backend.Model, bool) {
	for _, m := range d.models {
		if m.Name == name {
			return m, true
		}
	}
	return backend.Model{}, false
}

// dataset returns the source from which runs export a model's items.
func (d *Daemon) dataset() dataset.Source {
	return dataset.Source{
		Store: d.store,
		File:  func() *configs.File { return d.loaded.Load().File },
		Writer: func(model string) (*ingest.Writer, bool) {
			m, ok := d.model(model)
			if !ok {
				return nil, false
			}
			return m.Intake.Writer, true
		},
	}
}

// newGate returns the gate that grants steps a GPU.
func (d *Daemon) newGate() *gpugate.Gate {
	return gpugate.New(gpugate.Options{
		Store: d.store, File: func() *configs.File { return d.loaded.Load().File }, Self: d.o.Self, Host: d.host, Log: d.log,
		Ledger: d.ledger,
	})
}

// beatEvery returns how often each loop must report progress to the watchdog.
func (d *Daemon) beatEvery() time.Duration {
	if i := d.watchdog.Interval(); i > 0 {
		return max(i/4, 10*time.Millisecond)
	}
	return 10 * time.Second
}
