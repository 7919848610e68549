package gpu

import (
	"fmt"

	"github.com/retraind/retraind/internal/unit"
)

// State says what became of one question to the driver.
type State string

// The states of a Reading and of a Figure. Only known carries a value: neither of the others is zero.
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

// String prints the amount, or why there is none.
func (r Reading) String() string {
	if r.State == Known {
		return Amount(r.Size)
	}
	return missing(r.State, r.Detail)
}

// Figure is a small number of a device (percent, degrees), or why there is none.
type Figure struct {
	State  State  `json:"state"`
	Value  int    `json:"value"`
	Detail string `json:"detail,omitempty"`
}

// Number is a known figure.
func Number(n int) Figure { return Figure{State: Known, Value: n} }

// In prints the figure with its unit, "-" where the device does not have it.
func (f Figure) In(unit string) string {
	switch f.State {
	case Known:
		return fmt.Sprintf("%d %s", f.Value, unit)
	case Failed:
		return missing(f.State, f.Detail)
	default:
		return "-"
	}
}

func missing(state State, detail string) string {
	if state == Unsupported {
		return "not supported by this device"
	}
	return "unknown (" + detail + ")"
}

// Amount prints a size as a person reads it: "19.9 GiB", "512 MiB".
func Amount(s unit.Size) string {
	const mib, gib = 1 << 20, 1 << 30
	if s < gib {
		return fmt.Sprintf("%d MiB", s/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(s)/gib)
}
