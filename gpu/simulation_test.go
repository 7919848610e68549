package gpu_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
)

// stay is a holder that uses a card for some time.
type stay struct {
	card     int
	from, to time.Time
	size     unit.Size
	process  gpu.Process
	hidden   bool // the driver counts its memory, but does not list the process
}

// workshop simulates cards: their true state, and the driver's view of it.
type workshop struct {
	random *rand.Rand
	stays  []stay
}

func newWorkshop(seed uint64, now time.Time) *workshop {
	w := &workshop{random: rand.New(rand.NewPCG(seed, 24))}
	for i := range w.random.IntN(12) {
		from := now.Add(time.Duration(w.random.IntN(240)) * time.Second)
		w.stays = append(w.stays, stay{
			card: w.random.IntN(2), from: from, to: from.Add(time.Duration(w.random.IntN(180)) * time.Second),
			size: unit.Size(1+w.random.IntN(20)) * gib, hidden: w.random.IntN(6) == 0,
			process: gpu.Process{PID: 100 + i, Name: []string{"python3", "ollama", "Xorg"}[w.random.IntN(3)]},
		})
	}
	return w
}

// truth returns the true state of the cards at a time.
func (w *workshop) truth(now time.Time) []gpu.Device {
	devices := make([]gpu.Device, 2)
	for i := range devices {
		used, processes := unit.Size(0), []gpu.Process{}
		for _, s := range w.stays {
			if s.card != i || now.Before(s.from) || !now.Before(s.to) {
				continue
			}
			size := min(s.size, 24*gib-used)
			used += size
			if p := s.process; !s.hidden {
				p.Used = gpu.Bytes(uint64(size))
				processes = append(processes, p)
			}
		}
		devices[i] = card(i, float64(24*gib-used)/gib, processes...)
	}
	return devices
}

// Devices is the simulated driver: it is slow, fails sometimes, and sometimes does not know a value.
func (w *workshop) Devices(ctx context.Context) ([]gpu.Device, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(time.Duration(w.random.IntN(150)) * time.Millisecond):
	}
	devices := w.truth(time.Now())
	d := &devices[w.random.IntN(2)]
	switch w.random.IntN(25) {
	case 0:
		return nil, &gpu.ProbeError{Fault: gpu.FaultHang, Detail: "no answer within 5s"}
	case 1:
		d.Free = gpu.Reading{State: gpu.Failed, Detail: "Unknown Error"}
	case 2:
		d.Processes, d.ProcessState, d.ProcessError = nil, gpu.Failed, "list compute processes: Unknown Error"
	case 3:
		d.Distrust = "the driver lists pid 4294967295, which does not exist on this host"
	case 4:
		return devices[:1], nil
	}
	return devices, nil
}

// Whatever the holders do, a training starts on a card only if it is free at that moment: it has the memory, no other
// program computes on it, and only the training holds the lease.
func TestNoStartOnABusyCard(t *testing.T) {
	t.Parallel()
	histories := 10_000
	if testing.Short() {
		histories = 500
	}
	leases, starts, shut := gpu.Leases{Dir: sharedMemory(t)}, 0, 0
	c := config()
	c.Wait, c.Ignore = unit.Duration(4*time.Minute), nil
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(histories) {
			w := newWorkshop(seed, time.Now())
			grant, v, err := gpu.Acquire(
				t.Context(),
				gpu.Request{Inventory: w, Leases: leases, Config: c, Owner: fmt.Sprint("run ", seed)},
			)
			if err != nil {
				t.Fatal(err)
			}
			if grant == nil {
				if shut++; v.Result != gpu.Shut {
					t.Fatalf("history %d: no grant and %+v", seed, v)
				}
				continue
			}
			starts++
			for _, d := range w.truth(time.Now()) {
				busy := slices.ContainsFunc(d.Processes, func(p gpu.Process) bool { return p.Name != "Xorg" })
				if d.UUID == grant.Device.UUID && (busy || d.Free.Size < c.Free) {
					t.Fatalf("history %d: started on %+v", seed, d)
				}
			}
			if _, err := leases.TryAcquire(grant.Device.UUID, "another"); !errors.Is(err, gpu.ErrLeased) {
				t.Fatalf("history %d: the lease is not held: %v", seed, err)
			}
			if err := grant.Lease.Release(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if starts < histories/4 || shut < histories/50 {
		t.Errorf("of %d histories %d started and %d did not: the simulation shows too little", histories, starts, shut)
	}
}
