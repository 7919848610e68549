package gpu

import (
	"fmt"

	"github.com/retraind/retraind/internal/unit"
)

// State is the state of one value from the driver.
type State string

// The states of a Reading and of a Figure. Only a known one has a value: the other two do not mean zero.
const (
	Known       State = "known"
	Unsupported State = "unsupported" // this device does not have the value (unified memory, MIG)
	Failed      State = "error"       // the driver refused; Detail has the reason
)

// Reading is an amount of memory, or why it is unknown.
type Reading struct {
	State  State     `json:"state"`
	Size   unit.Size `json:"size,omitzero"`
	Detail string    `json:"detail,omitempty"`
}

// Bytes returns a known reading.
func Bytes(n uint64) Reading { return Reading{State: Known, Size: unit.Size(n)} }

// String prints the amount, or why it is unknown.
func (r Reading) String() string {
	if r.State == Known {
		return Amount(r.Size)
	}
	return missing(r.State, r.Detail)
}

// Figure is a small number of a device (percent, degrees), or why it is unknown.
type Figure struct {
	State  State  `json:"state"`
	Value  int    `json:"value"`
	Detail string `json:"detail,omitempty"`
}

// Number returns a known figure.
func Number(n int) Figure { return Figure{State: Known, Value: n} }

// In prints the figure with its unit, "-" if the device does not have it.
func (f Figure) In(unit string) string {
	switch f.State {
	case Known:
		if unit == "%" {
			return fmt.Sprintf("%d%%", f.Value)
		}
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

// Amount prints a size for people: "19.9 GiB", "512 MiB".
func Amount(s unit.Size) string {
	const mib, gib = 1 << 20, 1 << 30
	if s < gib {
		return fmt.Sprintf("%d MiB", s/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(s)/gib)
}
