// Package status is the interface of the daemon for people and programs: the control socket, the page and the metrics.
//
// It owns the types of what is shown (Status and its parts), the HTTP API on a unix socket with its Client, the
// read-only page on loopback, and the Prometheus registry. It accesses the daemon only through Backend, whose methods
// must be safe for concurrent use; everything here is, too. It never decides and never stores. It changes something
// only through a method of Backend, and only for requests on the socket.
package status
