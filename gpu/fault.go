package gpu

import "errors"

// Fault is why a probe has no answer.
type Fault string

// The faults of a probe.
const (
	FaultNoDriver Fault = "no_driver"       // NVIDIA's library or kernel driver is missing
	FaultMismatch Fault = "driver_mismatch" // library and kernel driver differ, or the driver was replaced: reboot
	FaultLost     Fault = "gpu_lost"        // a device is no longer on the bus
	FaultHang     Fault = "hang"            // no answer in time; the child may be stuck in the driver
	FaultCrash    Fault = "crash"           // a signal ended the child: the library crashed
	FaultNotBuilt Fault = "not_built"       // built without cgo, and nvidia-smi is missing
	FaultFailed   Fault = "failed"          // anything else
)

// ProbeError says why a probe has no answer: it means "unknown", not "no GPU". Only Prove also returns it if the driver
// lists no GPU.
type ProbeError struct {
	Fault  Fault  `json:"fault"`
	Detail string `json:"detail"`
}

func (e *ProbeError) Error() string { return "query NVIDIA's driver: " + e.Detail }

// Lasting reports whether an error is a fault that waiting does not fix: it needs an installation or a reboot.
func Lasting(err error) bool {
	var probe *ProbeError
	if !errors.As(err, &probe) {
		return false
	}
	switch probe.Fault {
	case FaultNoDriver, FaultMismatch, FaultLost, FaultNotBuilt:
		return true
	default:
		return false
	}
}
