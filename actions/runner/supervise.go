package runner

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/actions/progress"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/store"
)

func stopFile(dir string) string { return filepath.Join(dir, "stop") }

// Supervise is the main function of a shim: lock, claim, run, clean up, record. It returns an error if it could not
// claim or prepare the attempt, or write the record. How the command ended is in the record.
func Supervise(dir string) error {
	lock, err := os.OpenFile(lockFile(dir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // also prevents a finalizer from closing it, which would release the lock early
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	claim, err := os.OpenFile(claimFile(dir), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil // another supervisor has claimed this attempt
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(claim, "%d\n", os.Getpid())
	if err := errors.Join(claim.Sync(), claim.Close(), durable.SyncDir(dir)); err != nil {
		return err
	}
	spec, err := ReadSpec(dir)
	if err != nil {
		return writeExit(dir,
			Exit{Class: store.StepNotStarted, Code: -1, Detail: err.Error(), Started: time.Now(), Ended: time.Now()})
	}
	// Orphans of the command become children of this process, even if they have started a session.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	files, err := inherited(spec.Inherited)
	var exit Exit
	if err != nil {
		exit = noStart(Exit{Started: time.Now().UTC()}, err)
	} else {
		exit = supervise(spec, files)
	}
	killDescendants()
	for _, f := range files {
		_ = f.Close() // no process of the step is left: release the GPU before the record exists
	}
	return writeExit(dir, exit)
}

// recordPatience is how long the record of an ended command is retried on a full disk. What the command leaves behind is
// often deleted soon.
const recordPatience = time.Minute

// writeExit writes the record of an ended attempt.
func writeExit(dir string, exit Exit) error {
	for start := time.Now(); ; <-time.After(time.Second) {
		err := writeJSON(exitFile(dir), exit)
		if !durable.DiskFull(err) || time.Since(start) > recordPatience {
			return err
		}
	}
}

// inherited returns the files that the daemon passed on. The command inherits them too. If this process is killed, they
// therefore stay open until the command's last process has ended.
func inherited(n int) ([]*os.File, error) {
	var files []*os.File
	for fd := 3; fd < 3+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return files, fmt.Errorf("file %d was not passed on to the supervisor: %w", fd, err)
		}
		files = append(files, os.NewFile(uintptr(fd), "inherited"))
	}
	return files, nil
}

func supervise(spec Spec, files []*os.File) Exit {
	exit := Exit{Started: time.Now().UTC()}
	log, err := newCapped(LogFile(spec.Dir), spec.LogCap)
	if err != nil {
		return noStart(exit, err)
	}
	cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
	cmd.Env, cmd.Dir = spec.Env, spec.Cwd
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = 2 * time.Second // a child that keeps the pipe open does not block Wait
	if cmd.Err == nil {
		err = cmd.Start()
	} else {
		err = cmd.Err
	}
	if err != nil {
		_ = log.Close()
		return noStart(exit, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stopped, err := watch(spec, cmd.Process.Pid, done, followOutput(spec, log))
	exit.Ended = time.Now().UTC()
	logErr := log.Close()
	exit.Class, exit.Code = store.StepOK, 0
	if state := cmd.ProcessState; state != nil && !state.Success() {
		exit.Class, exit.Code = store.StepFailed, state.ExitCode()
		if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			exit.Class, exit.Signal = store.StepKilled, ws.Signal().String()
		}
	} else if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		exit.Class, exit.Code, exit.Detail = store.StepFailed, -1, err.Error()
	}
	last := log.lastLine()
	switch {
	case stopped != "":
		exit.Class, exit.Detail = stopped, "stopped by retraind"
		if stopped == store.StepTimeout {
			exit.Detail = fmt.Sprintf("not finished within its timeout of %s", spec.Timeout)
		}
	case exit.Class == store.StepFailed:
		exit.Class = classify(log.tail())
		exit.Detail = fmt.Sprintf("exit status %d", exit.Code)
		if last != "" {
			exit.Detail += ": " + last
		}
	case exit.Class == store.StepKilled:
		exit.Detail = "ended by signal " + exit.Signal
	}
	if logErr != nil && exit.Class == store.StepOK {
		exit.Detail = "its output could not be stored: " + logErr.Error()
	}
	return exit
}

func noStart(exit Exit, err error) Exit {
	exit.Class, exit.Code, exit.Ended = store.StepNotStarted, -1, time.Now().UTC()
	exit.Detail = err.Error()
	if errors.Is(err, exec.ErrNotFound) {
		exit.Detail += ": give the absolute path, or install the program where PATH finds it"
	}
	return exit
}

// followOutput returns a function that searches the output for progress and stores what it finds in PrintedFile. The
// caller calls this function repeatedly.
func followOutput(spec Spec, log *capped) func() {
	tracker := progress.NewTracker(spec.Progress)
	if tracker == nil {
		return func() {}
	}
	var seen int64
	var next time.Time
	return func() {
		now := time.Now()
		if now.Before(next) {
			return
		}
		next = now.Add(printedEvery)
		tail, written := log.end(progress.Tail)
		if written == seen {
			return
		}
		seen = written
		if p, changed := tracker.Look(tail, now.UTC()); changed {
			_ = progress.Write(PrintedFile(spec.Dir), p) // only for display: a failed write is harmless
		}
	}
}

// printedEvery is the shortest pause between two searches of the output, however fast it grows.
const printedEvery = 500 * time.Millisecond

// watch waits until the command ends. It stops the command at its timeout or on request, and then returns the class for
// that. It calls follow repeatedly meanwhile.
func watch(spec Spec, pid int, done chan error, follow func()) (store.StepState, error) {
	var deadline <-chan time.Time
	if spec.Timeout > 0 {
		deadline = time.After(spec.Timeout)
	}
	tick := time.NewTicker(4 * poll)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return "", err
		case <-deadline:
			return store.StepTimeout, stop(spec, pid, done)
		case <-tick.C:
			follow()
			if _, err := os.Stat(stopFile(spec.Dir)); err == nil {
				return store.StepKilled, stop(spec, pid, done)
			}
		}
	}
}

func stop(spec Spec, pid int, done chan error) error {
	grace := spec.Grace
	if grace == 0 {
		grace = 10 * time.Second
	}
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
	}
	killDescendants()
	return <-done
}

// classify returns the class of a failure. It searches the end of the output, where training frameworks print the
// cause.
func classify(tail string) store.StepState {
	low := strings.ToLower(tail)
	switch {
	case DiskFull(low):
		return store.StepDiskFull
	case strings.Contains(low, "cuda out of memory"), strings.Contains(low, "cuda error: out of memory"),
		strings.Contains(low, "torch.outofmemoryerror"), strings.Contains(low, "cublas_status_alloc_failed"):
		return store.StepGPUOOM
	}
	return store.StepFailed
}

// DiskFull reports whether the text of an error says that a disk is full or a quota is used up: a disk of this host, or
// of another program, such as the Docker engine.
func DiskFull(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "no space left on device") || strings.Contains(text, "disk quota exceeded")
}
