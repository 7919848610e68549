package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/store"
)

// poll is the pause between two checks for the end of a command, which may take hours.
const poll = 25 * time.Millisecond

// Shim runs each attempt under a supervisor process of this same binary. It does not need systemd.
type Shim struct {
	// Self is the argv prefix that starts the supervisor: {"/usr/bin/retraind", "exec-step"}.
	Self []string
}

var _ Runner = Shim{}

// Run implements Runner.
func (s Shim) Run(ctx context.Context, spec Spec) (Exit, error) {
	if err := s.start(spec); err != nil {
		return Exit{}, err
	}
	faults.Point("under way")
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		exit, done, err := look(spec)
		if err != nil || done {
			return exit, err
		}
		select {
		case <-ctx.Done():
			return Exit{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// start starts the supervisor unless the attempt was claimed before. If two daemons each start a supervisor, only one
// gets the claim; the other exits and changes nothing.
func (s Shim) start(spec Spec) error {
	defer spec.close()
	spec.Inherited = len(spec.Inherit)
	if Claimed(spec.Dir) {
		return nil
	}
	if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
		return fmt.Errorf("start %s: %w", spec.ID, err)
	}
	if err := writeJSON(specFile(spec.Dir), spec); err != nil {
		return fmt.Errorf("start %s: %w", spec.ID, err)
	}
	faults.Point("specified")
	cmd := exec.Command(s.Self[0], append(s.Self[1:len(s.Self):len(s.Self)], spec.Dir)...)
	cmd.Env = baseEnv()
	cmd.Dir = "/"
	cmd.ExtraFiles = spec.Inherit
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a signal to the daemon's group must not reach it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start supervisor of %s: %w", spec.ID, err)
	}
	faults.Point("supervised")
	go cmd.Wait() //nolint:errcheck // only to reap it; its word is exit.json
	return waitClaim(spec, cmd.Process.Pid)
}

// waitClaim waits until a supervisor has claimed the attempt, so that a missing claim always means "never started".
func waitClaim(spec Spec, pid int) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		if Claimed(spec.Dir) {
			return nil
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return fmt.Errorf("start %s: the supervisor did not claim the attempt within 20 s: is the machine out of memory or processes?",
				spec.ID)
		}
		wait := time.NewTimer(poll / 5)
		<-wait.C
	}
}

// look returns the record of an ended attempt; it reports false while the supervisor is alive. If no supervisor holds
// the lock and there is no record, look kills leftover processes and writes a record with store.StepUnknown.
func look(spec Spec) (Exit, bool, error) {
	if exit, ok, err := ReadExit(spec.Dir); ok || err != nil {
		return exit, ok, err
	}
	alive, err := locked(spec.Dir)
	if err != nil || alive {
		return Exit{}, false, err
	}
	// The record is written before the lock is released: read it once more before giving up.
	if exit, ok, err := ReadExit(spec.Dir); ok || err != nil {
		return exit, ok, err
	}
	killLeftovers(spec)
	exit := Exit{
		Class: store.StepUnknown, Code: -1, Started: Began(spec.Dir), Ended: time.Now(),
		Detail: "the supervisor of the command ended without recording the result (it was killed, or the machine went down)",
	}
	return exit, true, writeJSON(exitFile(spec.Dir), exit)
}

// locked reports whether the attempt's supervisor is alive: a supervisor holds the lock from before its claim until its
// end.
func locked(dir string) (bool, error) {
	f, err := os.OpenFile(lockFile(dir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	defer f.Close()
	// Take a shared lock and release it at once: a supervisor that starts at this moment waits for the lock and does not
	// fail.
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Kill implements Runner.
func (s Shim) Kill(spec Spec) error {
	if _, ok, _ := ReadExit(spec.Dir); ok {
		return nil
	}
	alive, err := locked(spec.Dir)
	if err != nil {
		return err
	}
	if alive {
		if err := os.WriteFile(stopFile(spec.Dir), nil, 0o600); err != nil { // the shim ends the command and writes the record
			return err
		}
		return nil
	}
	killLeftovers(spec)
	return nil
}

// baseEnv returns the part of the daemon's environment that commands get: never sockets, credentials or loader
// settings.
func baseEnv() []string {
	var env []string
	for _, key := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	if !strings.Contains(strings.Join(env, "\n"), "PATH=") {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

// BaseEnv returns the environment that every step starts with.
func BaseEnv() []string { return baseEnv() }
