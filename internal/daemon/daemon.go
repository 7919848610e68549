// Package daemon assembles retraind from the other packages.
//
// It defines the order of start and stop, and contains reloads, the listeners, and housekeeping. Rules about items,
// labels or decisions are in packages ingest and internal/evaluator. Several daemons with separate state directories
// can run in one process. The package reads no flags, installs no signal handlers and prints nothing: package
// cmd/retraind passes flags and signals to it as options, channels and contexts.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/backend"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/internal/gpugate"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/systemd"
)

// Options are the parameters of a daemon.
type Options struct {
	Loaded   *configs.Loaded
	Reread   func() (*configs.Loaded, error) // reads the configuration again, overlays included
	Self     string                          // path of this binary, for the supervisors of steps
	Version  string
	Log      *slog.Logger
	Notifier *systemd.Notifier
	// Reload, Force and Evaluate receive requests, such as signals. Each channel has size 1; a nil channel never fires.
	Reload, Force, Evaluate <-chan struct{}
	// Audit requests the audit that also runs each night: it recomputes every figure and compares it with the present one.
	// A nil channel never fires.
	Audit <-chan struct{}
	// Hard ends at a second SIGTERM, which shortens the shutdown. If it is nil, every part may use its full time limit.
	Hard context.Context
	// Barrier reports when classifiers must not be queried; nil for the GPU gate.
	Barrier evaluator.Barrier
	// Ready is called once the daemon serves; may be nil.
	Ready func()
}

// Daemon is one running retraind.
type Daemon struct {
	o        Options
	log      *slog.Logger
	host     string
	started  time.Time
	loaded   atomic.Pointer[configs.Loaded]
	reloads  reloads
	store    *store.Store
	engine   *actions.Engine
	executor *actions.Executor
	nats     *nats.Conn
	drain    *notify.Drain
	models   []backend.Model
	hub      *backend.Hub
	backend  *backend.Backend
	metrics  atomic.Pointer[status.Metrics]
	ledger   *ledger.Ledger
	gate     *gpugate.Gate
	progress *progress
	watchdog *systemd.Watchdog
}

// stopPatience limits how long a soft stop waits for work in progress.
const stopPatience = 25 * time.Second

// ErrStopped is the cause of a requested stop.
var ErrStopped = errors.New("asked to stop")

// Run runs a daemon until ctx ends. It returns nil after a requested stop, and an error if it could not start or a part
// of it failed.
func Run(ctx context.Context, o Options) (err error) {
	host, hostErr := os.Hostname()
	if hostErr != nil {
		host = "localhost"
	}
	if o.Hard == nil {
		o.Hard = context.Background()
	}
	d := &Daemon{o: o, log: o.Log, host: host, started: time.Now()}
	d.loaded.Store(o.Loaded)
	d.reloads.loaded, d.reloads.files = d.started, filesOf(o.Loaded, nil)
	early := d.restoreFirst(ctx)
	down := &teardown{log: d.log}
	defer func() {
		_ = d.o.Notifier.Stopping("stopping")
		err = errors.Join(err, down.run(o.Hard))
	}()
	intake, work, err := d.assemble(ctx, down)
	if err != nil {
		return err
	}
	d.gate.CheckGPU(ctx, early.results)
	if err := d.gate.Tell(ctx, early.results, early.bad); err != nil {
		return err
	}
	return d.serve(ctx, intake, work)
}

// assemble opens the parts of the daemon, each after the parts that it needs, and returns their loops.
func (d *Daemon) assemble(ctx context.Context, down *teardown) (intake, work []loop, err error) {
	file := d.loaded.Load().File
	if d.store, err = store.Open(ctx, file.State); err != nil {
		return nil, nil, err
	}
	down.add("store", 10*time.Second, func(context.Context) error { return d.store.Close() })
	faults.Point("opened")

	if d.nats, err = d.connectBroker(down); err != nil {
		return nil, nil, err
	}
	d.drain = notify.NewDrain(outbox{d.store}, d.nats, d.log)
	d.hub = backend.NewHub(d.store)
	d.store.OnOutbox(d.drain.Poke)
	d.store.OnOutbox(d.hub.Wake)

	if err := d.openEngine(ctx, down); err != nil {
		return nil, nil, err
	}
	names := file.Names()
	d.watchdog = d.o.Notifier.NewWatchdog()
	d.progress = newProgress(d.watchdog.Progress, names)
	for _, name := range names {
		m, err := d.openModel(ctx, file, name)
		if err != nil {
			return nil, nil, fmt.Errorf("model %s: %w", name, err)
		}
		d.models = append(d.models, m)
		intake = append(intake, loop{"labels of " + name, m.Intake.Run})
		work = append(work, loop{"model " + name, m.Loop.Run})
	}
	d.backend = backend.New(backend.Options{
		Store: d.store, Models: d.models, Hub: d.hub, Loaded: d.loaded.Load, Config: d, Host: d.host, Version: d.o.Version,
		Started: d.started, Log: d.log,
	})
	metrics := status.NewMetrics(d.backend, d.o.Version)
	d.metrics.Store(metrics)
	d.hub.Count = backend.Counter(metrics)
	work = append(
		work, loop{"outbox", d.drain.Run}, loop{"event hub", d.hub.Run}, loop{"watchdog", d.watchdog.Run},
		loop{"housekeeping", d.housekeep}, loop{"restart of stopped programs", d.restoreOwed},
	)
	intake = append(intake, loop{"signals", d.signals})
	receivers, err := d.receivers(file)
	if err != nil {
		return nil, nil, err
	}
	listeners, err := d.listeners(file)
	return append(append(intake, receivers...), listeners...), work, err
}

func (d *Daemon) openEngine(ctx context.Context, down *teardown) error {
	db, err := d.store.OpenEngine()
	if err != nil {
		return err
	}
	down.add("engine database", 5*time.Second, func(context.Context) error { return db.Close() })
	d.executor = &actions.Executor{
		Store: d.store, Runner: runner.Shim{Self: []string{d.o.Self, "exec-step"}}, Self: d.o.Self, Source: d.dataset(),
		Host: d.host, Log: d.log,
		Ended: func(model string) {
			if m, ok := d.model(model); ok {
				m.Loop.RunEnded()
			}
		},
	}
	d.gate = d.newGate()
	d.executor.GPU, d.executor.Models = d.gate, d.gate
	d.engine, err = actions.NewEngine(ctx, db, d.executor, d.host, d.log)
	if err != nil {
		return fmt.Errorf("state directory %s: %w", d.store.Dir(), store.Explain(err))
	}
	down.add("runs", stopPatience, func(context.Context) error { return d.engine.Shutdown(stopPatience - time.Second) })
	return nil
}

// serve resumes the runs, and runs all loops until they end.
func (d *Daemon) serve(ctx context.Context, intake, work []loop) error {
	faults.Point("assembled")
	if err := d.engine.Launch(d.gate.Cards(ctx)); err != nil {
		return err
	}
	faults.Point("launched")
	if err := errors.Join(d.announce(ctx), d.handOver(ctx)); err != nil {
		return err
	}
	return d.runLoops(ctx, intake, work, func() {
		if d.o.Ready != nil {
			d.o.Ready()
		}
		_ = d.o.Notifier.Ready(d.backend.Sentence())
		d.log.Info("ready", "version", d.o.Version, "models", d.loaded.Load().File.Names(), "config", d.loaded.Load().Path)
	})
}

// announce stores the event that the daemon has started.
func (d *Daemon) announce(ctx context.Context) error {
	l := d.loaded.Load()
	return d.store.Update(ctx, "daemon starts", func(t *store.Tx) error {
		return actions.Notify(t, d.host, notify.DaemonStarted, notify.DaemonModel, "",
			notify.Up{Version: d.o.Version, Models: l.File.Names(), Digest: l.Digest})
	})
}
