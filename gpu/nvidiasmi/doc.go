// Package nvidiasmi asks NVIDIA's program nvidia-smi about the GPUs, for binaries that were built without cgo.
//
// It owns the reading of `nvidia-smi -q -x`, and runs in the child process `retraind gpu-probe`, whose parent bounds its
// time. An Inventory is safe for concurrent use. The package never changes anything on a device. The program does not
// name the UUIDs of MIG instances in all versions: a GPU in MIG mode is listed as split, without its instances.
package nvidiasmi
