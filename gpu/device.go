package gpu

import (
	"context"
	"fmt"

	"github.com/retraind/retraind/internal/unit"
)

// Inventory lists the GPUs as they are now. Implemented by Probe and by gpu/nvml.
type Inventory interface {
	Devices(ctx context.Context) ([]Device, error)
}

// Device is one GPU at one instant.
type Device struct {
	Index     int       `json:"index"`
	UUID      string    `json:"uuid"` // names the device for ever; an index changes with the next boot
	Name      string    `json:"name"`
	Total     Reading   `json:"total"`
	Used      Reading   `json:"used"`
	Free      Reading   `json:"free"`
	Processes []Process `json:"processes"`
	// ProcessError says why Processes may be short; empty when the list is complete.
	ProcessError string `json:"process_error,omitempty"`
}

// State says what became of one question to the driver.
type State string

// The states of a Reading. Only known carries a value: neither of the others is zero bytes.
const (
	Known       State = "known"
	Unsupported State = "unsupported" // this device does not have the figure (unified memory, MIG)
	Failed      State = "error"       // the driver refused; Detail says how
)

// Reading is an amount of memory, or why there is none.
type Reading struct {
	State  State     `json:"state"`
	Size   unit.Size `json:"size,omitzero"`
	Detail string    `json:"detail,omitempty"`
}

// Bytes is a known reading.
func Bytes(n uint64) Reading { return Reading{State: Known, Size: unit.Size(n)} }

// String says the amount, or why there is none.
func (r Reading) String() string {
	switch r.State {
	case Known:
		return Amount(r.Size)
	case Unsupported:
		return "not supported by this device"
	default:
		return "unknown (" + r.Detail + ")"
	}
}

// Process is one process that holds memory of a device.
type Process struct {
	PID  int     `json:"pid"`
	Used Reading `json:"used"`
	Name string  `json:"name,omitempty"` // the program, e.g. "python3"
	Holder
}

// String names the process for a person: who it belongs to first, since that is what can be stopped.
func (p Process) String() string {
	who := p.Name
	if who == "" {
		who = "process"
	}
	switch {
	case p.Container != "":
		who += " in container " + p.Container[:min(12, len(p.Container))]
	case p.Unit != "":
		who += " of " + p.Unit
	}
	text := fmt.Sprintf("%s, pid %d", who, p.PID)
	if p.Used.State == Known {
		text += ", " + Amount(p.Used.Size)
	}
	return text
}

// Amount prints a size as a person reads it: "19.9 GiB", "512 MiB".
func Amount(s unit.Size) string {
	const mib, gib = 1 << 20, 1 << 30
	if s < gib {
		return fmt.Sprintf("%d MiB", s/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(s)/gib)
}
