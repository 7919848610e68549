// Package nvml queries NVIDIA's management library about the GPUs.
//
// It is the only package that uses that library, and runs only in the child processes `retraind gpu-probe` and
// `retraind gpu-xid`: a driver that lacks a function, or was replaced under a running process, ends the calling
// process. An Inventory belongs to one goroutine. The package never changes anything on a device. Without cgo it runs
// the program nvidia-smi instead (package gpu/nvidiasmi).
package nvml
