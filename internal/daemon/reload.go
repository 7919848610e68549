package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// reloads is the result of the last reload.
type reloads struct {
	one sync.Mutex // one reload at a time

	mu      sync.Mutex // guards the fields below
	loaded  time.Time
	problem string
	cold    []string // keys that changed and need a restart
	files   []string // files that the last configuration named, valid or not
}

// watched lists the configuration file and the files that its last version named. It includes missing files, because
// they may appear later.
func (d *Daemon) watched() []string {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	return append([]string{d.loaded.Load().Path}, d.reloads.files...)
}

// contents returns the hashes of the files of the configuration in force.
func (d *Daemon) contents() map[string]string {
	l := d.loaded.Load()
	all := maps.Clone(l.Files)
	if all == nil {
		all = map[string]string{}
	}
	all[l.Path] = configs.HashFile(l.Source)
	return all
}

// filesOf lists the files that a configuration names, even an invalid one.
func filesOf(l *configs.Loaded, err error) []string {
	var bad *configs.InvalidError
	switch {
	case l != nil:
		return slices.Sorted(maps.Keys(l.Files))
	case errors.As(err, &bad):
		return slices.Sorted(maps.Keys(bad.Files))
	}
	return nil
}

// fileChanged is the reason given for an automatic reload.
const fileChanged = "a file changed"

// reload reads the configuration again. It first does everything that can fail, and then applies the new
// configuration everywhere. On an error the old configuration stays in force, and the API, the page and the command
// line report the error.
func (d *Daemon) reload(ctx context.Context, why string) error {
	d.reloads.one.Lock()
	defer d.reloads.one.Unlock()
	if why != fileChanged {
		d.retrySources() // a reload may follow the fix of a source's fault
	}
	old := d.loaded.Load()
	next, err := d.o.Reread()
	files := filesOf(next, err)
	if err == nil && next.Same(old) && !d.refusedLast() {
		return nil // a signal and the file watch report the same edit
	}
	var cold []string
	if err == nil {
		cold, err = d.adopt(old, next)
	}
	d.reloads.mu.Lock()
	d.reloads.files = files
	told := why == fileChanged && err != nil && d.reloads.problem == err.Error() // already reported after a signal
	if err != nil {
		d.reloads.problem = err.Error()
	} else {
		d.reloads.problem, d.reloads.loaded, d.reloads.cold = "", time.Now(), cold
	}
	d.reloads.mu.Unlock()
	if told {
		return err
	}
	if err != nil {
		d.log.Error("configuration refused, the old one stays in force", "why", why, "err", err)
		d.tell(ctx, notify.ConfigRejected, notify.Refused{Problems: problemLines(err), Digest: old.Digest})
		return fmt.Errorf("configuration refused, the old one stays in force: %w", err)
	}
	d.log.Info("configuration in force", "why", why, "config_digest", next.Digest, "restart_needed", cold)
	d.tell(ctx, notify.ConfigReloaded, notify.Reloaded{Digest: next.Digest, RestartNeeded: cold})
	return nil
}

// Reload implements backend.Config.
func (d *Daemon) Reload(ctx context.Context) error { return d.reload(ctx, "requested") }

// Reloaded implements backend.Config.
func (d *Daemon) Reloaded() status.Config {
	l := d.loaded.Load()
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	return status.Config{
		Path: l.Path, Digest: l.Digest, Loaded: d.reloads.loaded, Problem: d.reloads.problem, RestartNeeded: d.reloads.cold,
	}
}

// retrySources makes sources that wait after an error retry at once.
func (d *Daemon) retrySources() {
	for _, m := range d.models {
		m.Intake.Retry()
	}
}

// refusedLast reports whether the last configuration that was read was refused.
func (d *Daemon) refusedLast() bool {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	return d.reloads.problem != ""
}

// adopt prepares the new configuration completely and then puts it in force. It returns the keys that cannot change
// while the daemon runs; these keep their old values.
func (d *Daemon) adopt(old, next *configs.Loaded) ([]string, error) {
	cold := keepCold(old.File, next.File)
	fresh := make([]*evaluator.Rules, len(d.models))
	for i, m := range d.models {
		var err error
		if fresh[i], err = evaluator.NewRules(next.File, m.Name); err != nil {
			return nil, err
		}
	}
	faults.Point("reload:read")
	d.loaded.Store(next)
	_ = d.o.Notifier.Reloading("reloading")
	for i, m := range d.models {
		m.Loop.SetRules(fresh[i])
	}
	_ = d.o.Notifier.Ready(d.backend.Sentence())
	faults.Point("reload:swapped")
	return cold, nil
}

// keepCold copies the values of keys that need a restart from the old file to the new one, and returns the keys that
// differed.
func keepCold(old, next *configs.File) []string {
	var cold []string
	keep := func(key string, same bool, restore func()) {
		if !same {
			cold = append(cold, key)
			restore()
		}
	}
	keep("state", old.State == next.State, func() { next.State = old.State })
	keep("listen", old.Listen == next.Listen, func() { next.Listen = old.Listen })
	keep("socket", old.Socket == next.Socket, func() { next.Socket = old.Socket })
	keep("nats", reflect.DeepEqual(old.NATS, next.NATS), func() { next.NATS = old.NATS })
	for name, was := range old.Models {
		is, ok := next.Models[name]
		if !ok {
			keep("models."+name, false, func() { next.Models[name] = was })
			continue
		}
		here := "models." + name + "."
		keep(here+"labels", reflect.DeepEqual(was.Labels, is.Labels), func() { is.Labels = was.Labels })
		keep(here+"heldout", reflect.DeepEqual(was.Heldout, is.Heldout), func() { is.Heldout = was.Heldout })
		keep(here+"serving.targets", reflect.DeepEqual(was.Serving.Targets, is.Serving.Targets),
			func() { is.Serving.Targets = was.Serving.Targets })
		keep(here+"serving.gate", was.Serving.Gate == is.Serving.Gate, func() { is.Serving.Gate = was.Serving.Gate })
	}
	for name := range next.Models {
		if _, ok := old.Models[name]; !ok {
			keep("models."+name, false, func() { delete(next.Models, name) })
		}
	}
	return cold
}

// tell stores an event about the daemon itself. It logs a failure and does not return it, so that the caller does not
// fail.
func (d *Daemon) tell(ctx context.Context, kind notify.Kind, data any) {
	err := d.store.Update(ctx, "daemon event", func(t *store.Tx) error {
		return actions.Notify(t, d.host, kind, notify.DaemonModel, "", data)
	})
	if err != nil && ctx.Err() == nil {
		d.log.Error("an event could not be recorded", "kind", kind, "err", err)
	}
}

func problemLines(err error) []string {
	var bad *configs.InvalidError
	if !errors.As(err, &bad) {
		return []string{err.Error()}
	}
	var lines []string
	for _, p := range bad.Problems {
		lines = append(lines, strictyaml.Problem.Error(p))
	}
	return lines
}
