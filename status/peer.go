package status

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of the socket, as the kernel reports it.
type Peer struct {
	UID, GID uint32
	PID      int32
}

type peerKey struct{}

// withPeer stores the peer of a connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if p, ok := credentials(conn); ok {
		return context.WithValue(ctx, peerKey{}, p)
	}
	return ctx
}

// credentials gets the peer of a connection from the kernel; only unix sockets have one.
func credentials(conn net.Conn) (Peer, bool) {
	if g, ok := conn.(*guardedConn); ok {
		conn = g.Conn
	}
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return Peer{}, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, false
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil || err != nil {
		return Peer{}, false
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, true
}

func peerOf(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// String returns the peer as it is logged and stored: "anna (uid 1000, pid 4711)".
func (p Peer) String() string {
	name := "somebody"
	if u, err := user.LookupId(strconv.Itoa(int(p.UID))); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("%s (uid %d, pid %d)", name, p.UID, p.PID)
}

// mayUse reports whether the peer may use the socket: root, the daemon's own user, or a member of the socket's group.
func (p Peer) mayUse(gid int) bool {
	if p.UID == 0 || int(p.UID) == os.Geteuid() || int(p.GID) == gid {
		return true
	}
	u, err := user.LookupId(strconv.Itoa(int(p.UID)))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, strconv.Itoa(gid))
}
