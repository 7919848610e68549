// Package status is the interface of the daemon for people and programs: the control socket, the page, the metrics and
// requests by NATS.
//
// It owns the types of what is shown (Status and its parts), the HTTP API on a unix socket with its Client, the service
// on NATS, the read-only page on loopback, and the Prometheus registry. It accesses the daemon only through Backend,
// whose methods must be safe for concurrent use, as everything in this package is. It never decides and never stores.
// It changes something only through a method of Backend, and only for requests on the socket or by NATS.
package status
