package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// gpuGate gives steps a GPU: it waits until one is free for long enough, leases it, and watches it meanwhile.
type gpuGate struct {
	d     *Daemon
	probe *gpu.Probe
	xids  *gpu.XidProbe
	peaks *gpu.Peaks

	mu     sync.Mutex            // guards before
	before map[string]gpu.Device // by UUID: the device as it was granted last
}

func (d *Daemon) gpu() actions.GPU {
	return &gpuGate{
		d: d,
		probe: &gpu.Probe{
			Command: []string{d.o.Self, "gpu-probe"}, Names: &gpu.Namer{Docker: gpu.DockerSocket, Ollama: gpu.OllamaURL},
		},
		xids:   &gpu.XidProbe{Command: []string{d.o.Self, "gpu-xid"}},
		peaks:  &gpu.Peaks{Path: filepath.Join(d.store.Dir(), gpu.PeaksFile)},
		before: map[string]gpu.Device{},
	}
}

// Acquire implements actions.GPU. It fails closed: what cannot be seen is not free.
func (g *gpuGate) Acquire(ctx context.Context, s actions.GPUStep) (map[string]string, func(), error) {
	file := g.d.loaded.Load().File
	m, ok := file.Models[s.Model]
	if !ok || m.GPU == nil {
		return nil, nil, &actions.BlockedError{
			Reason: fmt.Sprintf("model %s does not say how much of the GPU it needs: add gpu: {free: 20GiB}", s.Model),
		}
	}
	dir, err := gpu.LeaseDir(file.GPU.Leases)
	if err != nil {
		return nil, nil, &actions.BlockedError{Reason: err.Error()}
	}
	log := g.d.log.With("model", s.Model, "run_id", s.Run, "step", s.Step)
	need, err := g.peaks.Need(s.Model, s.Step)
	if err != nil {
		log.Warn("gpu peaks are not known; what is configured counts", "err", err)
	}
	grant, v, err := gpu.Acquire(ctx, gpu.Request{
		Inventory: g.probe, Leases: gpu.Leases{Dir: dir}, Config: *m.GPU, Need: need,
		Owner:  fmt.Sprintf("run %s of model %s", s.Run, s.Model),
		Report: func(v gpu.Verdict) { log.Info("gpu gate", "result", v.Result, "detail", v.Text) },
	})
	if err != nil {
		return nil, nil, err
	}
	if grant == nil {
		reason := "the GPU is not free: " + v.Text
		if err := g.tell(ctx, notify.GPUBlocked, s, held(s, v, reason)); err != nil {
			return nil, nil, err
		}
		return nil, nil, &actions.BlockedError{Reason: reason, Why: policy.ReasonGPUHeld}
	}
	g.mu.Lock()
	g.before[grant.Device.UUID] = grant.Device
	g.mu.Unlock()
	return grant.Env(), func() { _ = grant.Lease.Release() }, nil
}

// granted is a device as it was granted; one that this process did not grant has only its UUID.
func (g *gpuGate) granted(uuid string) gpu.Device {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, ok := g.before[uuid]; ok {
		return d
	}
	return gpu.Device{UUID: uuid}
}

// tell puts an event into the outbox.
func (g *gpuGate) tell(ctx context.Context, kind notify.Kind, s actions.GPUStep, data any) error {
	return g.d.store.Update(ctx, string(kind), func(t *store.Tx) error {
		return actions.Notify(t, g.d.host, kind, s.Model, s.Run, data)
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
