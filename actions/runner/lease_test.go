package runner

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/store"
)

const device = "GPU-aaaa"

// playDaemon takes a lease, starts the attempt in a spec file, and waits for the attempt's end. Tests kill it
// meanwhile.
func playDaemon(specFile, leases string) error {
	var s Spec
	b, err := os.ReadFile(specFile)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return err
	}
	lease, err := gpu.Leases{Dir: leases}.TryAcquire(device, "run r_1")
	if err != nil {
		return err
	}
	s.Inherit = []*os.File{lease.File()}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = Shim{Self: []string{self, "exec-step"}}.Run(context.Background(), s)
	return err
}

// daemon runs playDaemon in a separate process, and returns once the attempt's command runs.
func daemon(t *testing.T, s Spec, leases string) *exec.Cmd {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "play-daemon", file, leases)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waittest.Eventually(t, "the training", func() bool { return exists(filepath.Join(s.Cwd, "pid")) })
	return cmd
}

// taken reports whether the lease is taken, and checks that a daemon and a script see the same.
func taken(t *testing.T, leases gpu.Leases) bool {
	t.Helper()
	lease, err := leases.TryAcquire(device, "another daemon")
	if err == nil {
		if err := lease.Release(); err != nil {
			t.Error(err)
		}
	} else if !errors.Is(err, gpu.ErrLeased) {
		t.Fatal(err)
	}
	script := exec.Command("flock", "--nonblock", leases.Path(device), "true").Run()
	if (script == nil) != (err == nil) {
		t.Errorf("a daemon gets %v, and a script %v", err, script)
	}
	return err != nil
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// A GPU stays leased exactly as long as the training runs, even if the daemon is killed.
func TestLeaseLivesAsLongAsTheTraining(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	s := spec(t, `echo $$ >$OUT/pid; until [ -e $OUT/go ]; do sleep 0.02; done`)
	first := daemon(t, s, leases.Dir)
	kill(t, first)
	if !taken(t, leases) {
		t.Fatal("the training lives, and its GPU could be had after the daemon was killed")
	}
	if err := playDaemon(filepath.Join(s.Dir, "spec.json"), leases.Dir); !errors.Is(err, gpu.ErrLeased) {
		t.Fatalf("a second daemon: %v", err)
	}
	end := make(chan Exit, 1)
	go func() { // a restarted daemon waits for the training without taking the lease again
		exit, err := setup(t).Run(context.Background(), s)
		if err != nil {
			t.Error(err)
		}
		end <- exit
	}()
	if !taken(t, leases) {
		t.Error("re-attaching released the lease")
	}
	if err := os.WriteFile(filepath.Join(s.Cwd, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if exit := <-end; exit.Class != store.StepOK {
		t.Errorf("got %+v", exit)
	}
	if taken(t, leases) {
		t.Error("the record of the end is there, and the lease is held")
	}
}

// A training whose supervisor was killed keeps its GPU until a daemon kills the training.
func TestLeaseOfATrainingWithoutItsSupervisor(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	s := spec(t, `echo $$ >$OUT/pid; while :; do sleep 0.02; done`)
	kill(t, daemon(t, s, leases.Dir))
	killSupervisor(t, s)
	waittest.Eventually(t, "the supervisor's end", func() bool {
		alive, err := locked(s.Dir)
		return err == nil && !alive
	})
	if !taken(t, leases) {
		t.Fatal("the training lives without its supervisor, and its GPU could be had")
	}
	if exit, err := setup(t).Run(t.Context(), s); err != nil || exit.Class != store.StepUnknown {
		t.Fatalf("got %+v, %v", exit, err)
	}
	waittest.Eventually(t, "the lease to be free", func() bool { return !taken(t, leases) })
}

// A command that cannot be started releases the lease.
func TestLeaseOfACommandThatCannotStart(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	for _, self := range []string{os.Args[0], "/no/such/program"} {
		lease, err := leases.TryAcquire(device, "run r_1")
		if err != nil {
			t.Fatal(err)
		}
		s := spec(t, "")
		s.Argv, s.Inherit = []string{"no-such-program"}, []*os.File{lease.File()}
		exit, err := Shim{Self: []string{self, "exec-step"}}.Run(t.Context(), s)
		if err == nil && exit.Class != store.StepNotStarted {
			t.Errorf("got %+v", exit)
		}
		// A process that another test forks has copies of this test's open files until it executes its program.
		waittest.Eventually(t, "the lease to be free of "+self, func() bool { return !taken(t, leases) })
	}
}

// Alive returns true from the start of an attempt's supervisor until the supervisor's end, and kills the processes that
// a dead supervisor has left.
func TestAlive(t *testing.T) {
	t.Parallel()
	s := spec(t, `echo $$ >$OUT/pid; while :; do sleep 0.02; done`)
	run := filepath.Join(s.Cwd, "[1]") // no pattern
	s.Dir = filepath.Join(run, "steps", "train", "a1")
	want := func(what string, want bool) {
		t.Helper()
		if got, err := Alive(run); err != nil || got != want {
			t.Errorf("%s: alive is %v, %v", what, got, err)
		}
	}
	want("without a directory", false)
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(specFile(s.Dir), s); err != nil {
		t.Fatal(err)
	}
	want("specified", false)
	about := exec.Command("/bin/sh", "-c", "read line; exit 0", "exec-step", s.Dir)
	stdin, err := about.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := about.Start(); err != nil {
		t.Fatal(err)
	}
	waittest.Eventually(t, "the process", func() bool { return starting(s.Dir) })
	want("about to begin", true)
	if err := errors.Join(stdin.Close(), about.Wait()); err != nil {
		t.Fatal(err)
	}
	kill(t, daemon(t, s, t.TempDir()))
	want("under way", true)
	killSupervisor(t, s)
	waittest.Eventually(t, "the supervisor's end", func() bool {
		alive, err := locked(s.Dir)
		return err == nil && !alive
	})
	want("without its supervisor", false)
	waittest.Eventually(t, "the end of what it left", func() bool { return !alive(t, filepath.Join(s.Cwd, "pid")) })
}
