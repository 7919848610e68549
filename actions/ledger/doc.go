// Package ledger keeps what this host owes: services and models that a run has set aside to have the GPU for itself.
//
// An entry is one JSON file, written durably before anything is stopped, with ids and kinds and never commands: what ran,
// as which instance, and how it is seen to run again. What was off gets no entry, so it stays off. An entry is discharged
// when the thing was proved to run again, or when a person has decided otherwise meanwhile: who was started, removed or
// exchanged is left alone, and that is said.
//
// Restoring needs nothing but the directory of the entries: no configuration, no database, no broker. One process works on
// the entries at a time, by a lock beside them; a Ledger is safe for concurrent use. An entry is not due while a step of
// its run lives. The package starts and stops only what an entry names, and makes no system manager read its files again
// (daemon-reload), which would take the GPU away from containers.
package ledger
