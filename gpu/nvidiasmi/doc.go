// Package nvidiasmi queries NVIDIA's program nvidia-smi about the GPUs, for binaries that were built without cgo.
//
// It parses `nvidia-smi -q -x` and runs in the child process `retraind gpu-probe`, whose parent limits its time. An
// Inventory is safe for concurrent use. The package never changes anything on a device. Some versions of the program
// omit the UUIDs of MIG instances: a GPU in MIG mode is listed as split, without its instances.
package nvidiasmi
