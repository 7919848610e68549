package gpu

import "context"

// Inventory lists the GPUs as they are now. Implemented by Probe, gpu/nvml and gpu/nvidiasmi.
type Inventory interface {
	Devices(ctx context.Context) ([]Device, error)
}

// Device is one GPU, or one MIG instance of a GPU, at one instant.
type Device struct {
	Index int    `json:"index"`
	UUID  string `json:"uuid"` // stays the same across boots, unlike an index
	Name  string `json:"name"`
	// Parent is the UUID of the GPU that a MIG instance belongs to.
	Parent string `json:"parent,omitempty"`
	// Split marks a GPU in MIG mode: programs can use its instances only.
	Split bool `json:"split,omitempty"`
	// Unified marks a chip that shares the host's memory: Total and Free are the host's, Used is the sum of its
	// processes.
	Unified     bool      `json:"unified,omitempty"`
	Total       Reading   `json:"total"`
	Used        Reading   `json:"used"`
	Free        Reading   `json:"free"`
	Utilization Figure    `json:"utilization"` // percent
	Temperature Figure    `json:"temperature"` // degrees Celsius
	Processes   []Process `json:"processes"`
	// ProcessState is unsupported if the device keeps no list of processes, error if the list could not be read.
	ProcessState State `json:"process_state,omitempty"`
	// ProcessError is why Processes may be incomplete; empty when the list is complete.
	ProcessError string `json:"process_error,omitempty"`
	// Distrust is why Processes cannot be correct, such as a process that does not exist.
	Distrust string `json:"distrust,omitempty"`
	// Lease is the holder of the device's lease on this host; empty if it is free.
	Lease string `json:"lease,omitempty"`
}

// Process is one process that holds memory on a device.
type Process struct {
	PID  int     `json:"pid"`
	Used Reading `json:"used"`
	Name string  `json:"name,omitempty"` // the program, e.g. "python3"
	// Graphics marks a process that only draws: it is not in the list of compute processes.
	Graphics bool `json:"graphics,omitempty"`
	// Gone marks a process that the driver lists but the host does not have.
	Gone bool `json:"gone,omitempty"`
	Holder
}

// ProcessSum returns the memory of all listed processes. It is known only if the list is complete, plausible and has
// the memory of every process.
func (d Device) ProcessSum() Reading {
	if d.ProcessError != "" {
		return Reading{State: d.ProcessState, Detail: d.ProcessError}
	}
	if d.Distrust != "" {
		return Reading{State: Failed, Detail: d.Distrust}
	}
	var sum Reading
	sum.State = Known
	for _, p := range d.Processes {
		if p.Used.State != Known {
			return p.Used
		}
		sum.Size += p.Used.Size
	}
	return sum
}

// Unexplained returns the used memory that no listed process accounts for: the driver's own, or left behind by a
// process that crashed.
func (d Device) Unexplained() Reading {
	sum := d.ProcessSum()
	if sum.State != Known || d.Used.State != Known || d.Unified {
		return Reading{State: Unsupported}
	}
	return Bytes(uint64(max(0, d.Used.Size-sum.Size)))
}
