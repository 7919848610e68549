package notify

// GPUHolder is a process that holds memory of a GPU.
type GPUHolder struct {
	PID    int    `json:"pid"`              // on the host
	Name   string `json:"name,omitempty"`   // the program
	Kind   string `json:"kind"`             // ollama, compose, container, desktop, service, session, unknown or gone
	Owner  string `json:"owner,omitempty"`  // compose service, container, unit or Ollama model it belongs to
	Memory int64  `json:"memory,omitempty"` // bytes; absent if the driver does not report it
}

// GPUHeld explains why a step did not get a GPU, and which processes use the GPU.
type GPUHeld struct {
	Run     string      `json:"run"`               // id of the run
	Step    string      `json:"step"`              // name of the step
	GPU     string      `json:"gpu,omitempty"`     // UUID of the device with the most free memory; absent if none is visible
	Holders []GPUHolder `json:"holders,omitempty"` // the processes that use its memory, the largest first
	Lease   string      `json:"lease,omitempty"`   // the holder of its lease on this host
	Reason  string      `json:"reason"`            // in one sentence
}

// GPUFound reports an observation on the GPU of a running step.
type GPUFound struct {
	Run    string     `json:"run"`              // id of the run
	Step   string     `json:"step"`             // name of the step
	GPU    string     `json:"gpu"`              // UUID of the device
	Kind   string     `json:"kind"`             // intruder, pressure, xid, lost, blind or returned
	Holder *GPUHolder `json:"holder,omitempty"` // the process; absent if unknown
	Memory int64      `json:"memory,omitempty"` // bytes that it uses; absent if unknown
	Xid    int        `json:"xid,omitempty"`    // number of the driver's error
	Cause  string     `json:"cause,omitempty"`  // cause of such an error: program, hardware or unknown
	Abort  bool       `json:"abort,omitempty"`  // whether the step is stopped because of it
	Reason string     `json:"reason"`           // in one sentence
}

// GPUFreed lists what was stopped temporarily for the steps of a run.
type GPUFreed struct {
	Run     string   `json:"run"`              // id of the run
	Step    string   `json:"step"`             // name of the step that needs the GPU
	Stopped []string `json:"stopped"`          // compose services, units and Ollama models, in the order in which they were stopped
	Memory  int64    `json:"memory,omitempty"` // bytes of GPU memory that were freed
}

// GPUReturned lists the programs that a run had stopped, and whether each runs again.
type GPUReturned struct {
	Run    string        `json:"run"`    // id of the run
	Things []ThingReturn `json:"things"` // in the order in which they were started again
	Owed   bool          `json:"owed"`   // something could not be started again yet, and is retried
}

// ThingReturn is the result for one temporarily stopped program.
type ThingReturn struct {
	Name   string `json:"name"`   // for people
	Kind   string `json:"kind"`   // container, unit or model
	Ending string `json:"ending"` // restored, left_alone, kept, passed_on or owed
	Detail string `json:"detail"` // in one sentence
}
