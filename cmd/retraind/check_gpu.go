package main

import (
	"context"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/check"
)

// gpuProbe returns a probe that queries the driver in a child process, as the daemon with this configuration does.
// file may be nil.
func gpuProbe(file *configs.File) (*gpu.Probe, error) {
	me, err := self()
	if err != nil {
		return nil, err
	}
	return &gpu.Probe{
		Command: []string{me, "gpu-probe"},
		Names:   &gpu.Namer{Docker: gpu.DockerSocket(), Ollama: file.OllamaURL},
	}, nil
}

// checkGPU checks, if a model has a gpu section, that the driver answers, that some device is large enough, and that
// the lease directory is usable. For a model whose steps need no GPU it only warns.
func checkGPU(ctx context.Context, file *configs.File, found *check.Problems) {
	var devices []gpu.Device
	var fault error
	asked := false
	for _, name := range file.Names() {
		m := file.Models[name]
		if m.GPU == nil {
			continue
		}
		if !asked {
			asked = true
			devices, fault = askGPU(ctx, file)
		}
		p := gpuFindings(*m.GPU, devices, fault)
		if err := gpu.CheckLeaseDir(file.GPU.Leases); err != nil {
			p.Errorf("", "", "%v", err)
		}
		for i := range p {
			p[i].Warning = !needsGPU(m)
		}
		found.Under("models."+name+".gpu", p)
	}
}

func askGPU(ctx context.Context, file *configs.File) ([]gpu.Device, error) {
	probe, err := gpuProbe(file)
	if err != nil {
		return nil, err
	}
	if err := gpu.Prove(ctx, probe); err != nil {
		return nil, err
	}
	return probe.Devices(ctx)
}

func gpuFindings(c gpu.Config, devices []gpu.Device, fault error) check.Problems {
	var p check.Problems
	if fault != nil {
		p.Errorf("", "until this is solved, each run that needs a GPU ends as blocked; check again with `retraind gpu`",
			"the GPU cannot be used: %v", fault)
		return p
	}
	if c.Free == 0 {
		return p
	}
	largest := gpu.Reading{State: gpu.Known}
	for _, d := range devices {
		if d.Total.State != gpu.Known {
			return p // this device, whose memory is unknown, may be large enough
		}
		if !d.Split && d.Total.Size > largest.Size {
			largest = d.Total
		}
	}
	if largest.Size < c.Free {
		p.Errorf("free", "write at most the memory of the largest GPU", "no GPU of this machine has %s of memory; the largest has %s",
			gpu.Amount(c.Free), largest)
	}
	return p
}

// needsGPU reports whether some step of a model's pipelines runs on the GPU.
func needsGPU(m *configs.Model) bool {
	for _, steps := range m.Pipeline {
		for _, s := range steps {
			if s.NeedsGPU() {
				return true
			}
		}
	}
	return false
}
