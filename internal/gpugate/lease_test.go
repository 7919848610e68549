package gpugate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
)

// withCards gives a gate a driver that lists some devices, and the model m a gpu section.
func withCards(t *testing.T, g *Gate, devices ...gpu.Device) gpu.Leases {
	t.Helper()
	answer, err := json.Marshal(map[string]any{"devices": devices})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "answer")
	if err := os.WriteFile(path, answer, 0o600); err != nil {
		t.Fatal(err)
	}
	g.probe = &gpu.Probe{Command: []string{"cat", path}, Deadline: waittest.Patience}
	c := gpu.Config{Free: 20 << 30, StableFor: unit.Duration(time.Millisecond)}.WithDefaults()
	leases := gpu.Leases{Dir: t.TempDir()}
	file := &configs.File{GPU: gpu.HostConfig{Leases: leases.Dir}, Models: map[string]*configs.Model{"m": {GPU: &c}}}
	g.o.File = func() *configs.File { return file }
	return leases
}

// A step that asks Ollama has the lease of the device that the server uses, although it uses no memory there itself. A
// later run waits until the lease ends, and its reason names the holder.
func TestLeaseForOllama(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	// Memory in use by other programs does not matter: the server handles that.
	leases := withCards(t, g, gpu.Device{
		UUID: "GPU-1", Total: gpu.Bytes(24 << 30), Used: gpu.Bytes(20 << 30), Free: gpu.Bytes(4 << 30),
	})
	label := actions.GPUStep{Model: "m", Run: "run1", Step: "label", ByOllama: true}
	grant, err := g.Acquire(t.Context(), label)
	if err != nil || grant.Lease == nil || len(grant.Env) > 0 {
		t.Fatalf("%+v, %v", grant, err)
	}
	if holder := leases.Holder("GPU-1"); !strings.HasPrefix(holder, "run run1 of model m (pid ") {
		t.Errorf("leased by %q", holder)
	}
	// A training of another run, in this daemon or another one, stops nothing and does not start.
	of := func(step string) actions.GPUStep {
		return actions.GPUStep{Model: "m", Run: "run2", Step: step, ByOllama: step != "train"}
	}
	m := g.o.File().Models["m"]
	m.GPU.Wait = unit.Duration(20 * time.Millisecond)
	for _, ask := range []func() error{
		func() error {
			_, err := g.Free(t.Context(), of("train"), actions.Room{RunDir: t.TempDir()})
			return err
		},
		func() error {
			_, err := g.Acquire(t.Context(), of("predict"))
			return err
		},
		func() error {
			_, err := g.Reload(t.Context(), of("load"), gpu.StopConfig{Ollama: unit.List{"big"}})
			return err
		},
	} {
		var blocked *actions.BlockedError
		if err := ask(); !errors.As(err, &blocked) || blocked.Why != policy.ReasonGPUHeld ||
			!strings.Contains(blocked.Reason, "still leased by run run1 of model m") {
			t.Errorf("got %v", err)
		}
	}
	m.GPU.Wait = unit.Duration(time.Minute)
	got := make(chan error, 1)
	go func() {
		second, err := g.Acquire(context.WithoutCancel(t.Context()), of("stage"))
		if err == nil {
			err = second.Lease.Close()
		}
		got <- err
	}()
	if err := grant.Lease.Close(); err != nil { // as when its supervisor ends
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// If a lease cannot be taken, for example because the permission is missing, the run is blocked before anything is
// stopped.
func TestLeaseThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	leases := withCards(t, g, gpu.Device{
		UUID: "GPU-1", Total: gpu.Bytes(24 << 30), Used: gpu.Bytes(0), Free: gpu.Bytes(24 << 30),
	})
	if err := os.Mkdir(leases.Path("GPU-1"), 0o700); err != nil { // cannot be opened for writing, even by root
		t.Fatal(err)
	}
	for step, try := range map[string]func(actions.GPUStep) error{
		"freeing": func(s actions.GPUStep) error {
			stop := []gpu.StopConfig{{Unit: "no-such-unit.service"}}
			_, err := g.Free(t.Context(), s, actions.Room{RunDir: t.TempDir(), Stop: stop})
			return err
		},
		"train": func(s actions.GPUStep) error {
			_, err := g.Acquire(t.Context(), s)
			return err
		},
		"label": func(s actions.GPUStep) error {
			s.ByOllama = true
			_, err := g.Acquire(t.Context(), s)
			return err
		},
	} {
		var blocked *actions.BlockedError
		err := try(actions.GPUStep{Model: "m", Run: "run1", Step: step})
		if !errors.As(err, &blocked) || blocked.Why != policy.ReasonGPUHeld || !strings.Contains(blocked.Reason, "lease GPU GPU-1") {
			t.Errorf("%s: got %v", step, err)
		}
	}
}

// A driver that fails once, as on a machine under load, delays a step but does not block it. A lasting fault blocks it at
// once.
func TestDriverThatFailsOnce(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func(*Gate, actions.GPUStep) error{
		"free": func(g *Gate, s actions.GPUStep) error {
			_, err := g.Free(t.Context(), s, actions.Room{RunDir: t.TempDir()})
			return err
		},
		"lease": func(g *Gate, s actions.GPUStep) error {
			s.ByOllama = true
			grant, err := g.Acquire(t.Context(), s)
			if err == nil {
				err = grant.Lease.Close()
			}
			return err
		},
	} {
		g := newGate(t)
		withCards(t, g, gpu.Device{UUID: "GPU-1", Total: gpu.Bytes(24 << 30), Used: gpu.Bytes(0), Free: gpu.Bytes(24 << 30)})
		well, failed := g.probe.Command, filepath.Join(t.TempDir(), "failed")
		once := fmt.Sprintf("[ -e %[1]s ] && exec cat %[2]s; touch %[1]s; exit 1", failed, well[1])
		g.probe.Command = []string{"/bin/sh", "-c", once}
		s := actions.GPUStep{Model: "m", Run: "run1", Step: "train"}
		if err := try(g, s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		g.probe.Command = []string{"/bin/sh", "-c", `echo '{"error": {"fault": "driver_mismatch", "detail": "reboot"}}'; exit 1`}
		var blocked *actions.BlockedError
		if err := try(g, s); !errors.As(err, &blocked) || !strings.Contains(blocked.Reason, "reboot") {
			t.Errorf("%s, a lasting fault: %v", name, err)
		}
	}
}
