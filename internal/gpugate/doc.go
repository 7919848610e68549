// Package gpugate grants the steps of runs a GPU: it applies package gpu's rules by the configuration in force, and
// records its findings as events and peaks.
//
// A Gate is safe for concurrent use. It never starts on a device that is not known to be free, and never stops a
// holder that is not configured.
package gpugate
