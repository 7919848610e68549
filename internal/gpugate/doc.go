// Package gpugate grants a GPU to the steps of runs: it applies the rules of package gpu with the configuration in
// force.
//
// Before a step it looks at the devices, stops what is configured, waits until the memory is free, and takes a lease,
// in this order. During the step it watches the device. It also keeps the peaks of memory that earlier steps used,
// and publishes events.
//
// Threading: a Gate is safe for concurrent use; the steps of one device wait for each other.
//
// It never lets a step start on a device that is not known to be free, except a step that only queries Ollama: for that
// step the lease is enough. It never stops a holder that is not configured.
package gpugate
