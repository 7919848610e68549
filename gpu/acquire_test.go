package gpu_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/retraind/retraind/gpu"
)

// inventory is a fake Inventory that calls a function.
type inventory func(ctx context.Context) ([]gpu.Device, error)

func (f inventory) Devices(ctx context.Context) ([]gpu.Device, error) { return f(ctx) }

func request(t *testing.T, inv inventory) gpu.Request {
	return gpu.Request{Inventory: inv, Leases: gpu.Leases{Dir: t.TempDir()}, Config: config(), Owner: "run r_1"}
}

func TestAcquire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := request(t, func(context.Context) ([]gpu.Device, error) {
			if time.Since(start) < 2*time.Minute {
				return []gpu.Device{card(0, 4, ollama)}, nil
			}
			return []gpu.Device{card(0, 23)}, nil
		})
		var told []string
		r.Report = func(v gpu.Verdict) { told = append(told, v.Text) }
		grant, v, err := gpu.Acquire(t.Context(), r)
		if err != nil || grant == nil || v.Result != gpu.Open {
			t.Fatalf("got %+v, %+v, %v", grant, v, err)
		}
		if waited := time.Since(start); waited < 150*time.Second || waited > 165*time.Second {
			t.Errorf("waited %s, want two and a half minutes", waited)
		}
		if len(told) < 2 || !strings.Contains(told[0], "held by ollama") || told[1] == told[0] {
			t.Errorf("reports: %q", told)
		}
		if env := grant.Env(); env["CUDA_VISIBLE_DEVICES"] != "GPU-aaaa" {
			t.Errorf("environment: %v", env)
		}
		if _, err := r.Leases.TryAcquire("GPU-aaaa", "run r_2"); !errors.Is(err, gpu.ErrLeased) {
			t.Errorf("a second lease: %v", err)
		}
		if err := grant.Lease.Release(); err != nil {
			t.Error(err)
		}
	})
}

// A process appears between the last sample and the start: the lease is released and the wait starts again.
func TestLastLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := request(t, nil)
		r.Inventory = inventory(func(context.Context) ([]gpu.Device, error) {
			if asked++; asked == 8 { // seven samples in 30 s, then the last look
				return []gpu.Device{card(0, 4, ollama)}, nil
			}
			return []gpu.Device{card(0, 23)}, nil
		})
		var told []string
		r.Report = func(v gpu.Verdict) { told = append(told, v.Text) }
		start := time.Now()
		grant, _, err := gpu.Acquire(t.Context(), r)
		if err != nil || grant == nil {
			t.Fatal(grant, err)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("waited %s, want twice stable_for", waited)
		}
		if !strings.Contains(
			strings.Join(told, "\n"),
			"not free at the last check before the start: GPU 0 has 4.0 GiB free, a run needs 20.0 GiB; the memory is held by ollama",
		) {
			t.Errorf("reports: %q", told)
		}
		if err := grant.Lease.Release(); err != nil {
			t.Error(err)
		}
	})
}

func TestAcquireGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := request(t, func(context.Context) ([]gpu.Device, error) { return []gpu.Device{card(0, 4, ollama)}, nil })
		start := time.Now()
		grant, v, err := gpu.Acquire(t.Context(), r)
		if err != nil || grant != nil || v.Result != gpu.Shut || !strings.Contains(v.Text, "gave up after 10m: ") ||
			time.Since(start) != 10*time.Minute {
			t.Errorf("got %+v, %+v, %v after %s", grant, v, err, time.Since(start))
		}
		stopping := errors.New("stopping")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(stopping) })
		if _, _, err := gpu.Acquire(ctx, r); !errors.Is(err, stopping) {
			t.Errorf("got %v, want the context's cause", err)
		}
	})
}

func TestProve(t *testing.T) {
	t.Parallel()
	broken := &gpu.ProbeError{Fault: gpu.FaultMismatch, Detail: "Driver/library version mismatch"}
	for name, tc := range map[string]struct {
		devices []gpu.Device
		err     error
		well    bool
	}{"well": {[]gpu.Device{card(0, 1)}, nil, true}, "no card": {nil, nil, false}, "broken": {nil, broken, false}} {
		err := gpu.Prove(t.Context(), inventory(func(context.Context) ([]gpu.Device, error) { return tc.devices, tc.err }))
		if (err == nil) != tc.well {
			t.Errorf("%s: %v", name, err)
		}
	}
}
