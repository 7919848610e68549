// Package status shows the daemon to people and programs: the control socket, the page and the metrics.
//
// It owns the shape of what is shown (Status and what hangs on it), the HTTP API on a unix socket with its Client, the
// read-only page on loopback, and the Prometheus registry. It knows the daemon only through Backend, whose methods may be
// called by many requests at once; everything here is safe for concurrent use. It never decides, never stores, and changes
// something only where a Backend method says so, and only on the socket.
package status
