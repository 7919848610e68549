package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/backend"
	"github.com/retraind/retraind/status"
)

// listeners opens the control socket and the page; both are open before the daemon says that it is ready.
func (d *Daemon) listeners(file *configs.File) ([]loop, error) {
	if err := os.MkdirAll(filepath.Dir(file.Socket), 0o750); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	socket, err := status.ListenSocket(file.Socket)
	if err != nil {
		return nil, err
	}
	api := status.API(d.backend, d.log)
	loops := []loop{{"control socket", func(ctx context.Context) error { return status.Serve(ctx, socket, api, d.log) }}}
	if file.Listen == "off" {
		return loops, nil
	}
	metrics := status.NewMetrics(d.backend, d.o.Version)
	d.hub.Count = backend.Counter(metrics)
	page, err := status.Page(d.backend, metrics, d.log)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", file.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen: %s is taken by another program: set listen: to a free loopback address, or to off", file.Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: cannot use %s: %w: set listen: to a loopback address such as 127.0.0.1:7420, or to off", file.Listen, innermost(err))
	}
	return append(loops, loop{"page", func(ctx context.Context) error { return status.Serve(ctx, listener, page, d.log) }}), nil
}

// innermost is the kernel's word, without the names of the calls that led to it.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
