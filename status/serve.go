package status

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ListenSocket opens the control socket, for the daemon's user and group only. It replaces the socket of a killed
// daemon, but not one on which a process answers.
func ListenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("control socket %s: a file that is not a socket exists there; remove it", path)
		}
		conn, err := net.DialTimeout("unix", path, time.Second)
		switch {
		case err == nil:
			conn.Close()
			return nil, fmt.Errorf("control socket %s: another retraind answers there; stop it first", path)
		case !errors.Is(err, syscall.ECONNREFUSED):
			return nil, fmt.Errorf("control socket %s: %w", path, err)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	// 104 bytes is the portable limit of a socket's path; the kernel's own error does not mention it.
	if len(path) > 104 {
		return nil,
			fmt.Errorf("control socket %s: the path has %d bytes, more than 104; use a shorter state directory", path, len(path))
	}
	// Between bind and chmod the socket has the mode of the umask, so bind it under a temporary name.
	hidden := filepath.Join(filepath.Dir(path), fmt.Sprintf(".s%d", os.Getpid()))
	_ = os.Remove(hidden)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(hidden, 0o660), os.Rename(hidden, path)); err != nil {
		listener.Close()
		_ = os.Remove(hidden)
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return socket{listener, path}, nil
}

// socket removes its path when it is closed.
type socket struct {
	*net.UnixListener
	path string
}

func (s socket) Close() error {
	_ = os.Remove(s.path)
	return s.UnixListener.Close()
}

// Addr is the path that clients use, not the temporary one.
func (s socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

func (s socket) gid() int {
	var st unix.Stat_t
	if err := unix.Stat(s.path, &st); err != nil {
		return os.Getegid()
	}
	return int(st.Gid)
}

// Serve answers requests on the listener, within the guard's limits, until ctx ends; then it waits up to 2 s for the
// requests in progress. It closes the listener.
func Serve(ctx context.Context, listener net.Listener, guard *Guard, handler http.Handler, log *slog.Logger) error {
	// The end of this context ends streams of events, and most queries, at once; requests that change something may finish
	// (see ordered).
	streams, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if s, ok := listener.(socket); ok {
		handler = membersOnly(handler, s.gid())
	}
	server := &http.Server{
		Handler:           bounded(handler),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return streams },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return withPeer(withGuarded(ctx, conn), conn)
		},
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(guard.Listen(listener)) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	stop()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		server.Close()
	}
	return context.Cause(ctx)
}

// membersOnly refuses peers that the socket's mode should exclude, in case the mode is wrong.
func membersOnly(next http.Handler, gid int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := peerOf(r.Context())
		if !ok || !peer.mayUse(gid) {
			writeError(w, fmt.Errorf("%w: only root, the daemon's user and members of its group may use the control socket",
				ErrRefused))
			return
		}
		next.ServeHTTP(w, r)
	})
}
