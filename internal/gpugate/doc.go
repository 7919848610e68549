// Package gpugate lets the steps of runs onto a GPU: it applies package gpu's rules by the configuration in force, and
// records what it finds as events and peaks.
//
// A Gate is safe for concurrent use. It never starts on a device that it cannot see to be free, and never stops what holds
// one.
package gpugate
