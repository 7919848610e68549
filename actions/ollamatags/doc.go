// Package ollamatags keeps the releases of a model as names on an Ollama server: NAME:r-<digest> for each release,
// created from the release's files. Creating one never overwrites a name in service.
//
// It owns the order of operations for creating a name (Make) and for switching the name that clients use to another
// release (Switch), the record of the names that it created (State), and the decision which of these to delete (prune).
// The server writes names in place: if it is killed during a copy, the name does not work. Every operation is therefore
// idempotent: it reads the server's state and continues from there. One job at a time works on a model; nothing here is
// safe for concurrent use on the same State. The package deletes only names of its own record that still refer to the
// manifest that it created, never pulls, and never changes the service's configuration.
package ollamatags
