package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/policy"
)

// gpuGate lets steps onto the GPU: it waits until one is free for long enough and leases it.
type gpuGate struct {
	d      *Daemon
	probe  *gpu.Probe
	leases gpu.Leases
}

func (d *Daemon) gpu() actions.GPU {
	return &gpuGate{d: d, probe: &gpu.Probe{Command: []string{d.o.Self, "gpu-probe"}, Names: &gpu.Namer{Docker: gpu.DockerSocket, Ollama: gpu.OllamaURL}}, leases: gpu.Leases{Dir: filepath.Join(d.store.Dir(), "gpu")}}
}

// Acquire implements actions.GPU. It fails closed: what cannot be seen is not free.
func (g *gpuGate) Acquire(ctx context.Context, model string) (map[string]string, func(), error) {
	m, ok := g.d.loaded.Load().File.Models[model]
	if !ok || m.GPU == nil {
		return nil, nil, &actions.BlockedError{Reason: fmt.Sprintf("model %s does not say how much of the GPU it needs: add gpu: {free: 20GiB}", model)}
	}
	for {
		v, err := gpu.Wait(ctx, g.probe, *m.GPU, func(v gpu.Verdict) { g.d.log.Info("gpu gate", "model", model, "result", v.Result, "detail", v.Text) })
		if err != nil {
			return nil, nil, err
		}
		if v.Result != gpu.Open {
			return nil, nil, &actions.BlockedError{Reason: "the GPU is not free: " + v.Text, Why: policy.ReasonGPUHeld}
		}
		lease, err := g.leases.TryAcquire(v.UUID, model)
		if errors.Is(err, gpu.ErrLeased) {
			continue // taken between the sample and now: its memory will show
		}
		if err != nil {
			return nil, nil, err
		}
		return map[string]string{"CUDA_VISIBLE_DEVICES": v.UUID}, func() { _ = lease.Release() }, nil
	}
}
