package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/retraind/retraind/gpu"
)

// BenchmarkGPUProbe queries the stand-in for NVIDIA's library as the daemon does: in a child process that runs this
// program.
func BenchmarkGPUProbe(b *testing.B) {
	driver := filepath.Join(b.TempDir(), "driver")
	fakeDriver(driver, func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	})
	program, err := exec.LookPath("retraind") // the test binary's PATH has the program
	if err != nil {
		b.Fatal(err)
	}
	p := &gpu.Probe{Command: []string{program, "gpu-probe"}, Env: append(os.Environ(), "LD_LIBRARY_PATH="+driver)}
	for b.Loop() {
		if _, err := p.Devices(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms")
}
