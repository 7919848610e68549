package gpu

import (
	"fmt"
	"slices"
)

// Xid is an error that NVIDIA's driver reports about a device, by its number in NVIDIA's catalogue.
type Xid int

// Cause is the usual cause of an error.
type Cause string

// The causes. An error that is in neither programXids nor hardwareXids has an unknown cause.
const (
	CauseProgram  Cause = "program"  // a fault of the program, or a consequence of its end
	CauseHardware Cause = "hardware" // the card, its link or its firmware: reset, reboot or replace
	CauseUnknown  Cause = "unknown"
)

var (
	// programXids: an exception or a page fault of a program's kernel, and channels that were cleaned up after it.
	programXids = []Xid{8, 13, 31, 43, 45, 68, 69}
	// hardwareXids: uncorrectable memory errors and their remapping, links, a card off the bus, its controllers.
	hardwareXids = []Xid{
		38, 46, 48, 54, 61, 62, 63, 64, 74, 79, 92, 94, 95, 109, 110, 119, 120, 121, 136, 140, 142, 143,
		144, 145, 146, 147, 148, 149, 150, 151, 154, 155, 156, 158, 171, 172,
	}
)

// Cause returns the usual cause of the error.
func (x Xid) Cause() Cause {
	switch {
	case slices.Contains(programXids, x):
		return CauseProgram
	case slices.Contains(hardwareXids, x):
		return CauseHardware
	default:
		return CauseUnknown
	}
}

// String explains the error and what to do about it.
func (x Xid) String() string {
	switch x.Cause() {
	case CauseProgram:
		return fmt.Sprintf("Xid %d, an error of a program on the GPU (illegal memory access, crash or kill)", int(x))
	case CauseHardware:
		return fmt.Sprintf(
			"Xid %d, an error of the card or its driver: reset the GPU or reboot, and replace the card if the error returns",
			int(x),
		)
	default:
		return fmt.Sprintf("Xid %d: see NVIDIA's catalogue of Xid errors", int(x))
	}
}
