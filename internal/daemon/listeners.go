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
	"github.com/retraind/retraind/status"
)

// listeners opens the control socket and the page, both before the daemon reports that it is ready.
func (d *Daemon) listeners(file *configs.File) ([]loop, error) {
	if err := os.MkdirAll(filepath.Dir(file.Socket), 0o750); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	socket, err := status.ListenSocket(file.Socket)
	if err != nil {
		return nil, err
	}
	api := status.API(d.backend, d.log)
	guard := d.guard("control")
	loops := []loop{{"control socket", func(ctx context.Context) error {
		return status.Serve(ctx, socket, guard, api, d.log)
	}}}
	if file.Listen == "off" {
		return loops, nil
	}
	page, err := status.Page(d.backend, d.metrics.Load(), d.log)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", file.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil,
			fmt.Errorf("listen: %s is used by another program; set listen: to a free loopback address, or to off", file.Listen)
	}
	if err != nil {
		return nil,
			fmt.Errorf("listen: cannot use %s: %w; set listen: to a loopback address such as 127.0.0.1:7420, or to off",
				file.Listen, innermost(err))
	}
	pageGuard := d.guard("page")
	return append(loops, loop{"page", func(ctx context.Context) error {
		return status.Serve(ctx, listener, pageGuard, page, d.log)
	}}), nil
}

// guard returns a guard that prevents the clients of a listener from exhausting the daemon's resources.
func (d *Daemon) guard(listener string) *status.Guard {
	return status.NewGuard(listener, status.NewLimits(), d.countRefused, d.log)
}

// countRefused counts what a listener refused, or closed to make room, if the metrics exist already.
func (d *Daemon) countRefused(listener, what string) {
	if m := d.metrics.Load(); m != nil {
		m.Refused(listener, what)
	}
}

// innermost returns the innermost wrapped error: the error of the kernel, without the names of the calls.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
