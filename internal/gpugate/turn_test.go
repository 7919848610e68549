package gpugate

import (
	"testing"

	"github.com/retraind/retraind/gpu"
)

// The run that became due first takes precedence on a device that it could use, and on no other.
func TestQueue(t *testing.T) {
	t.Parallel()
	card := func(gib uint64) gpu.Device {
		return gpu.Device{UUID: "GPU-1", Total: gpu.Bytes(gib << 30), Used: gpu.Bytes(0), Free: gpu.Bytes(gib << 30)}
	}
	needs := func(gib uint64) wish {
		c := gpu.Config{}
		c.Free = gpu.Bytes(gib << 30).Size
		return wish{config: c}
	}
	var q queue
	leave := q.enter("run1", needs(40))
	q.enter("run2", needs(10))
	for _, c := range []struct {
		run  string
		gib  uint64
		want string
	}{
		{"run1", 48, ""},
		{"run2", 48, "run run1 is also waiting for it, and was due earlier"},
		{"run2", 24, ""}, // too small for the earlier run
		{"run3", 24, "run run2 is also waiting for it, and was due earlier"},
	} {
		if got := q.before(c.run, card(c.gib)); got != c.want {
			t.Errorf("%s on a card of %d GiB: %q, want %q", c.run, c.gib, got, c.want)
		}
	}
	leave()
	if got := q.before("run2", card(48)); got != "" {
		t.Errorf("after the earlier one has left: %q", got)
	}
}

func TestLeaseHolders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		devices []gpu.Device
		want    string
	}{
		{nil, ""},
		{[]gpu.Device{{Lease: "run1"}, {}}, ""},
		{[]gpu.Device{{Lease: "run1"}, {Lease: "run1"}, {Lease: "a script"}}, "run1; a script"},
		{[]gpu.Device{{Split: true}, {Lease: "run1"}}, "run1"},
	} {
		if got := leaseHolders(c.devices); got != c.want {
			t.Errorf("%+v: %q", c.devices, got)
		}
	}
}
