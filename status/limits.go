package status

import (
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Limits are the maximum numbers of connections, streams and bodies that a listener has open at a time, in total and
// for each peer. On a unix socket a peer is a user, elsewhere an address.
type Limits struct {
	Conns, PeerConns     int
	Streams, PeerStreams int // of events
	Bodies, PeerBodies   int // requests with a body
}

// mostConns is the number of connections of a listener if descriptors are plentiful.
const mostConns = 256

// NewLimits returns limits that leave nearly all of the process's descriptors to the store, sources and steps.
func NewLimits() Limits {
	conns := mostConns
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		conns = int(min(mostConns, max(8, files.Cur/16)))
	}
	half := conns / 2
	// On loopback every user has the same address: one peer may have half of the total.
	return Limits{
		Conns: conns, PeerConns: half,
		Streams: half / 2, PeerStreams: half / 4,
		Bodies: half / 2, PeerBodies: half / 4,
	}
}

// peerName returns the peer that a connection is counted for. Every address of 127.0.0.0/8 is this machine, and any
// other IPv6 peer is its /64 network.
func peerName(conn net.Conn) string {
	if p, ok := credentials(conn); ok {
		return "uid " + strconv.FormatUint(uint64(p.UID), 10)
	}
	addr, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return "unknown"
	}
	ip := addr.Addr().Unmap()
	switch {
	case ip.IsLoopback():
		return "loopback"
	case ip.Is6():
		network, err := ip.WithZone("").Prefix(64)
		if err != nil {
			return ip.String()
		}
		return network.String()
	}
	return ip.String()
}
