package gpu

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A driver that never answers, for a day: one child is started, and only the first call waits for an answer. A leaked
// goroutine would end this test with a panic of its bubble.
func TestHungDriverForADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		children, killed, asked := 0, 0, 0
		gone := make(chan struct{})
		p := &Probe{Command: []string{"retraind"}, Proc: host(), launch: func(*Probe) (child, error) {
			children++
			return child{gone: gone, answer: func() ([]Device, error) { return nil, nil }, kill: func() { killed++ }}, nil
		}}
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for start := time.Now(); time.Since(start) < 24*time.Hour; <-tick.C {
			before := time.Now()
			_, err := p.Devices(t.Context())
			var probe *ProbeError
			if !errors.As(err, &probe) || probe.Fault != FaultHang {
				t.Fatalf("got %v, want a hang", err)
			}
			if took := time.Since(before); asked > 0 && took > 0 {
				t.Fatalf("a later question took %s", took)
			}
			asked++
		}
		if children != 1 || killed != 1 || asked < 40_000 {
			t.Errorf("%d children were started and %d killed in %d questions, want one", children, killed, asked)
		}
		close(gone)
		if _, err := p.Devices(t.Context()); err != nil || children != 2 {
			t.Errorf("after the driver came back: %v, %d children", err, children)
		}
	})
}
