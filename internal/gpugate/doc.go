// Package gpugate grants a GPU to the steps of runs: it applies the rules of package gpu with the configuration in force.
//
// It owns the order before a step (look, stop what is configured, wait until the memory is free, lease), the watch during
// it, the peaks of memory that earlier steps used, and the events about them.
//
// Threading: a Gate is safe for concurrent use; the steps of one device wait for each other.
//
// It never lets a step start on a device that is not known to be free, and never stops a holder that is not configured.
package gpugate
