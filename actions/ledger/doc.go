// Package ledger records what this host must restore: services and models that a run has stopped to have the GPU for
// itself.
//
// An entry is one JSON file, written durably before anything is stopped, with ids and kinds and never commands: what
// ran, as which instance, and how to check that it runs again. What was off gets no entry, so it stays off. An entry
// is removed when the thing was verified to run again, or when a person has decided otherwise meanwhile: a thing that
// was started, removed or replaced is left alone, and that is reported.
//
// Restoring needs only the directory of the entries: no configuration, no database, no broker. One process works on
// the entries at a time, by a lock beside them; a Ledger is safe for concurrent use. An entry is not due while a step
// of its run lives. The package starts and stops only what an entry names, and never makes a system manager reload its
// files (daemon-reload), which would take the GPU away from containers.
package ledger
