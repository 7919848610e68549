package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
)

// leaseEvery is the pause between two attempts to take a lease.
const leaseEvery = 500 * time.Millisecond

func newGPUHold(a *app) *cobra.Command {
	h := &gpuHold{app: a}
	cmd := &cobra.Command{
		Use: "hold [--gpu GPU] -- COMMAND [ARGUMENT…]", Short: "Run a command with the lease of a GPU",
		Args: cobra.MinimumNArgs(1),
		Long: `Run a command that holds the lease of a GPU while it lives, as the steps of runs do: no run uses this GPU
meanwhile. If the lease is taken, wait for it. The command gets the GPU in CUDA_VISIBLE_DEVICES, and its exit
status is returned.

A script can do the same with flock: flock /run/retraind/gpu/UUID.lock COMMAND`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return h.run(ctx, cmd, args)
		},
	}
	cmd.Flags().StringVar(&h.gpu, "gpu", "", "index or UUID (default: the first whose lease is free)")
	cmd.Flags().DurationVar(&h.wait, "wait", 0, "give up after this time, with status 8 (default: never)")
	cmd.Flags().
		BoolVarP(&h.nonblock, "nonblock", "n", false, "give up at once, with status 8, if the lease is taken")
	cmd.Flags().
		StringVar(&h.leases, "leases", "", "directory of the leases (default: from the configuration, else /run/retraind/gpu)")
	return cmd
}

// gpuHold takes a lease and then replaces this process with the command.
type gpuHold struct {
	app         *app
	gpu, leases string
	wait        time.Duration
	nonblock    bool
}

func (h *gpuHold) run(ctx context.Context, cmd *cobra.Command, args []string) error {
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	if h.leases == "" {
		if h.leases, err = h.configured(cmd); err != nil {
			return err
		}
	}
	dir, err := gpu.LeaseDir(h.leases)
	if err != nil {
		return err
	}
	uuids, err := h.candidates(ctx)
	if err != nil {
		return err
	}
	lease, err := h.acquire(ctx, gpu.Leases{Dir: dir}, uuids, filepath.Base(program))
	if err != nil {
		return err
	}
	if err := lease.KeepOnExec(); err != nil {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CUDA_VISIBLE_DEVICES=") })
	return syscall.Exec(program, args, append(env, "CUDA_VISIBLE_DEVICES="+lease.UUID))
}

// configured returns the directory of leases from the configuration, "" without a configuration. A configuration that
// cannot be read is an error: it may name a directory, and a lease in another directory would exclude no run.
func (h *gpuHold) configured(cmd *cobra.Command) (string, error) {
	l, _, err := h.app.load(cmd)
	var bad *configs.InvalidError
	switch {
	case err == nil:
		return l.File.GPU.Leases, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.As(err, &bad):
		return "", fail(exitFailed, "configuration %s is invalid, so the directory of GPU leases is unknown: correct it "+
			"(`retraind check`), or name the directory with --leases", bad.Path)
	}
	return "", fail(exitFailed, "the directory of GPU leases is unknown: %w; use sudo, or name it with --leases", err)
}

// candidates lists the devices that may be leased: the named one, or all usable ones.
func (h *gpuHold) candidates(ctx context.Context) ([]string, error) {
	if strings.HasPrefix(h.gpu, "GPU-") || strings.HasPrefix(h.gpu, "MIG-") {
		return []string{h.gpu}, nil // even if the driver does not answer
	}
	probe, err := gpuProbe(nil)
	if err != nil {
		return nil, err
	}
	devices, err := probe.Devices(ctx)
	if err != nil {
		return nil, err
	}
	var uuids []string
	for _, d := range devices {
		if !d.Split && (h.gpu == "" || h.gpu == strconv.Itoa(d.Index)) {
			uuids = append(uuids, d.UUID)
		}
	}
	if len(uuids) == 0 {
		which := ""
		if h.gpu != "" {
			which = fmt.Sprintf(" with index or UUID %q", h.gpu)
		}
		return nil, fail(exitNotFound, "no GPU%s can be leased; `retraind gpu` lists the GPUs", which)
	}
	return uuids, nil
}

// acquire takes the first free lease. If none is free, it waits.
func (h *gpuHold) acquire(ctx context.Context, leases gpu.Leases, uuids []string, program string) (*gpu.Lease, error) {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h.wait > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, h.wait, errLeaseWait)
		defer stop()
	}
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	for told := ""; ; {
		var taken error
		for _, uuid := range uuids {
			lease, err := leases.TryAcquire(uuid, program+" of "+name)
			if err == nil || !errors.Is(err, gpu.ErrLeased) {
				return lease, err
			}
			taken = err
		}
		if h.nonblock {
			return nil, fail(exitGaveUp, "%w", taken)
		}
		if taken.Error() != told {
			told = taken.Error()
			say(h.app.stderr, "retraind: waiting: %s", told)
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errLeaseWait) {
				return nil, fail(exitGaveUp, "gave up after %s: %w", h.wait, taken)
			}
			return nil, errInterrupted
		case <-tick.C:
		}
	}
}

var errLeaseWait = errors.New("gave up waiting")
