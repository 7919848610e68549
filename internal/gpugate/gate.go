package gpugate

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// Options are the dependencies of a Gate.
type Options struct {
	Store *store.Store
	File  func() *configs.File // the configuration in force
	Self  string               // path of this binary, for the probes that run as children
	Host  string               // name of this host, for events
	Log   *slog.Logger
	// Ledger records what runs have stopped.
	Ledger *ledger.Ledger
}

// Gate implements actions.GPU: it waits until a GPU is free for long enough, leases it, and watches it during the
// step.
type Gate struct {
	o     Options
	probe *gpu.Probe
	xids  *gpu.XidProbe
	peaks *gpu.Peaks
	queue queue

	mu     sync.Mutex                  // guards the fields below
	before map[string]gpu.Device       // by UUID: the device at its last grant
	lent   map[string][]gpu.StopConfig // by run: what it has stopped, or may have stopped
}

// New returns the gate of a daemon.
func New(o Options) *Gate {
	return &Gate{
		o: o,
		probe: &gpu.Probe{
			Command: []string{o.Self, "gpu-probe"},
			Names:   &gpu.Namer{Docker: gpu.DockerSocket(), Ollama: func() string { return o.File().OllamaURL() }},
		},
		xids:   &gpu.XidProbe{Command: []string{o.Self, "gpu-xid"}},
		peaks:  &gpu.Peaks{Path: filepath.Join(o.Store.Dir(), gpu.PeaksFile)},
		before: map[string]gpu.Device{}, lent: map[string][]gpu.StopConfig{},
	}
}

// Acquire implements actions.GPU. It fails closed: an unknown state counts as not free.
func (g *Gate) Acquire(ctx context.Context, s actions.GPUStep) (actions.GPUGrant, error) {
	var none actions.GPUGrant
	file := g.o.File()
	m, ok := file.Models[s.Model]
	if !ok || m.GPU == nil {
		return none, &actions.BlockedError{
			Reason: fmt.Sprintf("it is not configured how much GPU memory model %s needs: add gpu: {free: 20GiB} to the model",
				s.Model),
		}
	}
	dir, err := gpu.LeaseDir(file.GPU.Leases)
	if err != nil {
		return none, g.blocked(ctx, s, err.Error())
	}
	log := g.o.Log.With("model", s.Model, "run_id", s.Run, "step", s.Step)
	need, err := g.peaks.Need(s.Model, s.Step)
	if err != nil {
		log.Warn("gpu peaks cannot be read; only the configuration is used", "err", err)
	}
	leave := g.queue.enter(s.Run, wish{*m.GPU, need})
	defer leave()
	ctx, back := context.WithCancelCause(ctx)
	defer back(nil)
	end := g.guarded(ctx, s, true, func(text string) { log.Warn("gpu gate", "detail", text) },
		func(why *actions.BlockedError) { back(why) })
	defer end()
	leases := gpu.Leases{Dir: dir}
	if s.ByOllama {
		return g.leaseForOllama(ctx, s, leases, *m.GPU)
	}
	grant, v, err := gpu.Acquire(ctx, gpu.Request{
		Inventory: g.probe, Leases: leases, Config: *m.GPU, Need: need,
		Turn:   func(d gpu.Device) string { return g.queue.before(s.Run, d) },
		Owner:  owner(s),
		Report: func(v gpu.Verdict) { log.Info("gpu gate", "result", v.Result, "detail", v.Text) },
	})
	if err != nil {
		return none, g.unless(ctx, s, err)
	}
	if grant == nil {
		reason := "the GPU is not free: " + v.Text
		if err := g.tell(ctx, notify.GPUBlocked, s, held(s, v, reason)); err != nil {
			return none, err
		}
		return none, &actions.BlockedError{Reason: reason, Why: policy.ReasonGPUHeld}
	}
	g.mu.Lock()
	g.before[grant.Device.UUID] = grant.Device
	g.mu.Unlock()
	return actions.GPUGrant{Env: grant.Env(), Lease: grant.Lease.File()}, nil
}

// config returns the effective gpu section of a model. If the section was removed, it returns the defaults.
func (g *Gate) config(model string) gpu.Config {
	if m := g.o.File().Models[model]; m != nil && m.GPU != nil {
		return *m.GPU
	}
	return gpu.Config{}.WithDefaults()
}

// Cards returns how many devices steps can use at once. It returns 1 if no model has a gpu section or the driver does
// not answer.
func (g *Gate) Cards(ctx context.Context) int {
	needed := false
	for _, m := range g.o.File().Models {
		needed = needed || m.GPU != nil
	}
	if !needed {
		return 1
	}
	devices, err := g.probe.Devices(ctx)
	if err != nil {
		g.o.Log.Info("the number of GPUs is unknown; steps use the GPU one at a time", "err", err)
	}
	n := 0
	for _, d := range devices {
		if !d.Split {
			n++
		}
	}
	return max(1, n)
}

// granted returns a device as it was when it was granted. If another process granted the device, only the UUID is
// known.
func (g *Gate) granted(uuid string) gpu.Device {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, ok := g.before[uuid]; ok {
		return d
	}
	return gpu.Device{UUID: uuid}
}

// tell writes an event to the outbox.
func (g *Gate) tell(ctx context.Context, kind notify.Kind, s actions.GPUStep, data any) error {
	return g.o.Store.Update(ctx, string(kind), func(t *store.Tx) error {
		return actions.Notify(t, g.o.Host, kind, s.Model, s.Run, data)
	})
}

func held(s actions.GPUStep, v gpu.Verdict, reason string) notify.GPUHeld {
	data := notify.GPUHeld{Run: s.Run, Step: s.Step, Reason: reason}
	if v.Best != nil {
		data.GPU, data.Lease = v.Best.UUID, v.Best.Lease
	}
	for _, p := range v.Holders {
		data.Holders = append(data.Holders, holderData(p))
	}
	return data
}

func holderData(p gpu.Process) notify.GPUHolder {
	return notify.GPUHolder{
		PID:    p.PID,
		Name:   p.Name,
		Kind:   string(p.Kind()),
		Owner:  p.Owner(),
		Memory: p.Used.Size.Bytes(),
	}
}
