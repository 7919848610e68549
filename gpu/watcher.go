package gpu

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// watchEvery is the pause between two samples: a finding must be reported within 5 s.
const watchEvery = 2 * time.Second

// Watcher samples a step's device for as long as the step runs.
type Watcher struct {
	Inventory Inventory
	Config    Config
	// Device is the device before the step's start. If that is unknown, as after a restart of the daemon, only its UUID
	// is set and the first sample counts as the start.
	Device Device
	// Mine reports whether a process belongs to the step, and whether it still runs; see Owned.
	Mine func(pid int) (mine, there bool)
	// Xids delivers errors that the driver reports; it may be nil.
	Xids <-chan Xid
}

// Run samples every 2 s until ctx ends and calls report with each finding (at most mostFindings), from this goroutine.
// It returns how the step used the device.
func (w *Watcher) Run(ctx context.Context, report func(Finding)) Usage {
	t := newTracker(w.Config, w.Device, w.Device.Total.State != "", w.Mine)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		devices, err := w.Inventory.Devices(ctx)
		if ctx.Err() != nil {
			return t.usage
		}
		for _, f := range t.look(devices, err) {
			report(f)
		}
		if !w.pause(ctx, t, tick.C, report) {
			return t.usage
		}
	}
}

// pause waits for the next sample and meanwhile handles errors that the driver reports. It returns false when ctx ends.
func (w *Watcher) pause(ctx context.Context, t *tracker, next <-chan time.Time, report func(Finding)) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case x := <-w.Xids:
			for _, f := range t.bounded([]Finding{t.xid(x)}) {
				report(f)
			}
		case <-next:
			return true
		}
	}
}

// Owned returns a function that recognises the processes of a step by a variable ("NAME=value") in their environment
// or in that of an ancestor. If a process's environment may not be read, only those of its ancestors count.
func Owned(proc fs.FS, variable string) func(pid int) (mine, there bool) {
	proc = hostProc(proc)
	return func(pid int) (mine, there bool) {
		for depth := 0; pid > 1 && depth < 64; depth++ {
			dir := strconv.Itoa(pid)
			environ, err := fs.ReadFile(proc, path.Join(dir, "environ"))
			if depth == 0 && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)) {
				return false, false
			}
			for v := range bytes.SplitSeq(environ, []byte{0}) {
				if string(v) == variable {
					return true, true
				}
			}
			pid = parent(proc, dir)
		}
		return false, true
	}
}

// parent reads the number of a process's parent from /proc/PID/stat, where the program's name may have spaces and
// parentheses; 0 if there is none.
func parent(proc fs.FS, dir string) int {
	text, err := fs.ReadFile(proc, path.Join(dir, "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(fields[1])
	return pid
}
