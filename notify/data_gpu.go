package notify

// GPUHolder is a process that holds memory of a GPU.
type GPUHolder struct {
	PID  int    `json:"pid"`            // process id on the host
	Name string `json:"name,omitempty"` // name of the program
	// `ollama`, `compose`, `container`, `desktop`, `service`, `session`, `unknown`, or `gone` (the driver lists it, the
	// host does not have it)
	Kind string `json:"kind"`
	// compose service, container, unit or Ollama model to which it belongs
	Owner  string `json:"owner,omitempty"`
	Memory int64  `json:"memory,omitempty"` // bytes of GPU memory; absent if the driver does not report them
}

// GPUHeld explains why a step did not get a GPU, and which processes use the GPU.
type GPUHeld struct {
	Run  string `json:"run"`  // id of the run
	Step string `json:"step"` // name of the step
	// UUID of the device that came closest to being free: one that met the requirements at the last check, else the one
	// with the most free memory; absent if the step was blocked for another reason
	GPU     string      `json:"gpu,omitempty"`
	Holders []GPUHolder `json:"holders,omitempty"` // processes that use the device's memory, the largest first
	Lease   string      `json:"lease,omitempty"`   // holder of the device's lease on this host
	Reason  string      `json:"reason"`            // why, in one sentence
}

// GPUFound reports an observation on the GPU of a running step.
type GPUFound struct {
	Run  string `json:"run"`  // id of the run
	Step string `json:"step"` // name of the step
	GPU  string `json:"gpu"`  // UUID of the device
	// `intruder` (another program computes on the device), `pressure` (others use more memory than at the start), `xid`
	// (the driver reported an error), `lost` (the driver no longer lists the device), `blind` (the driver does not
	// answer) or `returned` (something that was stopped runs again)
	Kind   string     `json:"kind"`
	Holder *GPUHolder `json:"holder,omitempty"` // the process that caused it; absent if unknown
	Memory int64      `json:"memory,omitempty"` // bytes of GPU memory that it took; absent if unknown
	Xid    int        `json:"xid,omitempty"`    // number of the driver's error, with `xid`
	Cause  string     `json:"cause,omitempty"`  // cause of that error: `program`, `hardware` or `unknown`
	Abort  bool       `json:"abort,omitempty"`  // whether the step is stopped because of it
	Reason string     `json:"reason"`           // what was found, in one sentence
}

// GPUFreed lists what was stopped temporarily for the steps of a run.
type GPUFreed struct {
	Run  string `json:"run"`  // id of the run
	Step string `json:"step"` // name of the step that needs the GPU
	// compose services, units and Ollama models, in the order in which they were stopped
	Stopped []string `json:"stopped"`
	Memory  int64    `json:"memory,omitempty"` // bytes of GPU memory that were freed
}

// GPUReturned lists the programs that a run had stopped, and whether each runs again.
type GPUReturned struct {
	Run string `json:"run"` // id of the run
	// programs that the run had stopped, in the order in which retraind tried to start them again
	Things []ThingReturn `json:"things"`
	// whether something could not be started yet; retraind retries it
	Owed bool `json:"owed"`
}

// ThingReturn is the result for one temporarily stopped program.
type ThingReturn struct {
	Name string `json:"name"` // name for people
	Kind string `json:"kind"` // `container`, `unit` or `model`
	// `restored`, `left_alone` (a person has started, removed or replaced it), `kept` (it was never stopped), `passed_on`
	// (another run needs it stopped) or `owed` (it could not be started yet)
	Ending string `json:"ending"`
	Detail string `json:"detail"` // what happened, in one sentence
}
