// Package nvml asks NVIDIA's management library about the GPUs.
//
// It owns the only use of that library, and runs only in the child processes `retraind gpu-probe` and `retraind gpu-xid`:
// a driver that lacks a function, or was replaced under a running process, ends the process that calls it. Inventory is
// for one goroutine. The package never changes anything on a device. Without cgo it asks the program nvidia-smi instead
// (package gpu/nvidiasmi).
package nvml
