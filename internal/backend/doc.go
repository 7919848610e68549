// Package backend answers the API, the web page and the command line of a running daemon.
//
// It owns the conversion of the stored state and the loops' views into package status's types, the recording of
// requests (each is carried out once), and the hub that passes events to live subscribers.
//
// Threading: a Backend and a Hub are safe for concurrent use. It never decides, and changes only what a request
// asks for.
package backend
