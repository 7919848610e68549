// Package ollamatags keeps the releases of a model as names of an Ollama server: NAME:r-<digest> for each, made of the
// release's files and never over a name that serves.
//
// It owns the order in which a name is made (Make) and in which the name that clients ask for is given to another release
// (Switch), the record of the names that it made (State), and which of them may go (prune). The server writes names in
// place: a kill in the middle of a copy leaves one that does not work, so that everything here may be entered again, looks
// at what the server has, and goes on from there. It deletes only names of its own record that still stand for what it
// made, never pulls, and leaves the configuration of the service to others.
package ollamatags
