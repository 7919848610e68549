package evaluator

import (
	"context"
	"fmt"

	"github.com/retraind/retraind/serving"
)

// lookAtGPU checks whether a language model that was completely on the GPU still is. On the CPU it gives the same
// answers, but many times slower.
func (l *Loop) lookAtGPU(ctx context.Context, s *Serving, h serving.HealthInfo) error {
	if h.Size <= 0 {
		return nil // not loaded, or unknown
	}
	was, said := s.GPU, s.OffGPU
	s.GPU, s.OffGPU = was || h.VRAM >= h.Size, ""
	if s.GPU && h.VRAM < h.Size {
		s.OffGPU = fmt.Sprintf("only %d%% of the model is still in GPU memory: another program uses the memory (ollama ps, nvidia-smi), or the driver is unavailable",
			100*h.VRAM/h.Size)
	}
	if s.OffGPU != said && s.OffGPU != "" {
		l.log.Warn("the model is no longer completely on the GPU", "reason", s.OffGPU)
	}
	if s.GPU == was && s.OffGPU == said {
		return nil
	}
	return l.saveServing(ctx, s)
}
