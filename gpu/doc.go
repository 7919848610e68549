// Package gpu knows how much memory is free on each GPU, who holds the rest, and when a training may begin.
//
// It owns the inventory (Device, Inventory), the probe that asks NVIDIA's driver in a short-lived child (Probe), the names
// of holders (from /proc, Docker and Ollama, which are only read), the gate (a pure state machine over samples) and the
// lease on a device (a file lock). Probe, Namer and Leases are safe for concurrent use; a Gate belongs to one goroutine.
// The package never loads NVIDIA's library into the daemon (that is gpu/nvml, in the child), never stops or kills a
// holder, and never reads "cannot tell" as "free".
package gpu
