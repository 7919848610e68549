// Package backend answers the API, the web page and the command line of a running daemon.
//
// It converts the stored state and the loops' views into the types of package status, records requests so that each
// is carried out once, and contains the hub that passes events to live subscribers.
//
// Threading: a Backend and a Hub are safe for concurrent use. The package makes no decisions, and changes only what a
// request asks for.
package backend
