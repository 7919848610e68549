// Package gpu finds out how much memory is free on each GPU, which processes hold the rest, and when a training may
// begin.
//
// It owns the inventory (Device, Inventory), the probe that queries NVIDIA's driver in a short-lived child (Probe),
// the names of holders (read from /proc, Docker and Ollama), the gate (a pure state machine over samples) and the
// lease on a device (a file lock). Probe, Namer and Leases are safe for concurrent use; a Gate belongs to one
// goroutine. The package never loads NVIDIA's library into the daemon (gpu/nvml does, in the child), never stops or
// kills a holder, and never treats "unknown" as "free".
package gpu
