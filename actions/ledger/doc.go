// Package ledger records what this host must restore: the services and models that a run has stopped to free a GPU.
//
// An entry is one JSON file, written durably before anything is stopped. It has ids and kinds, never commands: what
// ran, as which instance, and how to check that it runs again. What was not running gets no entry, so it stays stopped.
// An entry is removed once its thing is verified to run again. If a person has started, removed or replaced the thing
// meanwhile, the thing is left alone, the entry is removed, and the result reports that.
//
// Restoring needs only the directory of the entries: no configuration, no database, no broker. A lock file beside the
// entries lets one process at a time work on them; a Ledger is safe for concurrent use. An entry is not due while a
// step of its run is still running. The package starts and stops only what an entry names, and never reloads the
// configuration of systemd (daemon-reload), which would take the GPU away from containers.
package ledger
