package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstSocket is the descriptor of the first socket that systemd passes.
const firstSocket = 3

// Listener returns the socket that a .socket unit passes (sd_listen_fds(3)), nil if there is none.
func Listener(env Environment) (net.Listener, error) {
	if env("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if n := env("LISTEN_FDS"); n != "1" {
		return nil, fmt.Errorf("socket from systemd: LISTEN_FDS is %q, want 1", n)
	}
	file := os.NewFile(firstSocket, "socket from systemd")
	l, err := net.FileListener(file)
	if err := errors.Join(err, file.Close()); err != nil { // the listener has a copy
		return nil, fmt.Errorf("socket from systemd: %w", err)
	}
	return l, nil
}
