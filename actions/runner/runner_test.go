package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/retraind/retraind/actions/progress"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/store"
)

// TestMain lets the test binary also run as the supervisor.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "exec-step" {
		go func() { // collect garbage all the time, so that a file that nothing refers to is closed soon and not after hours
			for {
				runtime.GC()
			}
		}()
		if err := Supervise(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == "play-daemon" {
		if err := playDaemon(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func setup(t *testing.T) Runner {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Shim{Self: []string{self, "exec-step"}}
}

func spec(t *testing.T, script string) Spec {
	t.Helper()
	dir := t.TempDir()
	id := "run/" + t.Name() + "/a1"
	return Spec{
		Dir: filepath.Join(dir, "a1"), ID: id, Argv: []string{"/bin/sh", "-c", script}, Cwd: dir,
		Env: append(BaseEnv(), AttemptVar+"="+id, "OUT="+dir), Grace: 200 * time.Millisecond,
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func alive(t *testing.T, pidFile string) bool {
	t.Helper()
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestExits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		class        store.StepState
		code         int
		detail       string
	}{
		{"ok", "echo fine", store.StepOK, 0, ""},
		{"failed", "echo one; echo the reason >&2; exit 3", store.StepFailed, 3, "exit status 3: the reason"},
		{"signal", "kill -SEGV $$", store.StepKilled, -1, "ended by signal segmentation fault"},
		{"disk full", "echo 'write: No space left on device'; exit 1", store.StepDiskFull, 1, "No space left"},
		{"gpu", "echo 'torch.OutOfMemoryError: CUDA out of memory.'; exit 1", store.StepGPUOOM, 1, "out of memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			exit, err := setup(t).Run(t.Context(), spec(t, c.script))
			if err != nil {
				t.Fatal(err)
			}
			if exit.Class != c.class || exit.Code != c.code || !strings.Contains(exit.Detail, c.detail) {
				t.Errorf("got %+v, want %s %d with %q", exit, c.class, c.code, c.detail)
			}
		})
	}
}

func TestMissingProgram(t *testing.T) {
	t.Parallel()
	s := spec(t, "")
	s.Argv = []string{"no-such-program"}
	exit, err := setup(t).Run(t.Context(), s)
	if err != nil || exit.Class != store.StepNotStarted || !strings.Contains(exit.Detail, "absolute path") {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func TestTimeoutKillsEverything(t *testing.T) {
	t.Parallel()
	var s Spec
	for timeout := time.Second; ; timeout *= 2 {
		s = spec(t, `trap '' TERM; setsid sh -c 'echo $$ >$OUT/.escaped; mv $OUT/.escaped $OUT/escaped; exec sleep 1000' & sleep 1000`)
		s.Timeout = timeout
		exit, err := setup(t).Run(t.Context(), s)
		if err != nil || exit.Class != store.StepTimeout {
			t.Fatalf("got %+v, %v", exit, err)
		}
		if exists(filepath.Join(s.Cwd, "escaped")) { // else the machine was too slow to start it in time
			break
		}
	}
	waittest.Eventually(t, "the end of a process in a session of its own",
		func() bool { return !alive(t, filepath.Join(s.Cwd, "escaped")) })
}

func TestReattach(t *testing.T) {
	t.Parallel()
	s := spec(t, `echo begun >>$OUT/begun; until [ -e $OUT/go ]; do sleep 0.02; done; exit 7`)
	ctx, stop := context.WithCancelCause(t.Context())
	gone := errors.New("the daemon is stopping")
	first := make(chan error, 1)
	r := setup(t)
	go func() { _, err := r.Run(ctx, s); first <- err }()
	waittest.Eventually(t, "the command's start", func() bool { return exists(filepath.Join(s.Cwd, "begun")) })
	stop(gone)
	if err := <-first; !errors.Is(err, gone) {
		t.Fatalf("got %v, want the cause", err)
	}
	second := make(chan Exit, 1)
	go func() {
		exit, err := setup(t).Run(context.Background(), s)
		if err != nil {
			t.Error(err)
		}
		second <- exit
	}()
	if err := os.WriteFile(filepath.Join(s.Cwd, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if exit := <-second; exit.Class != store.StepFailed || exit.Code != 7 {
		t.Errorf("got %+v", exit)
	}
	begun, err := os.ReadFile(filepath.Join(s.Cwd, "begun"))
	if err != nil || strings.Count(string(begun), "begun") != 1 {
		t.Errorf("started more than once: %q, %v", begun, err)
	}
}

// killSupervisor kills the supervisor that has claimed an attempt, as the kernel may do when memory runs out.
func killSupervisor(t *testing.T, s Spec) {
	t.Helper()
	claim, err := os.ReadFile(claimFile(s.Dir))
	if err != nil {
		t.Fatal(err)
	}
	shim, err := strconv.Atoi(strings.TrimSpace(string(claim)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(shim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	s := spec(t, `echo $$ >$OUT/pid; exec sleep 1000`)
	r := setup(t)
	end := make(chan Exit, 1)
	go func() {
		exit, err := r.Run(context.Background(), s)
		if err != nil {
			t.Error(err)
		}
		end <- exit
	}()
	pidFile := filepath.Join(s.Cwd, "pid")
	waittest.Eventually(t, "the command's start", func() bool { b, _ := os.ReadFile(pidFile); return len(b) > 1 })
	killSupervisor(t, s)
	if exit := <-end; exit.Class != store.StepUnknown || !exit.Started.Equal(Began(s.Dir)) {
		t.Errorf("got %+v, began %s", exit, Began(s.Dir))
	}
	waittest.Eventually(t, "the end of what it left", func() bool { return !alive(t, pidFile) })
	if again, err := r.Run(t.Context(), s); err != nil || again.Class != store.StepUnknown {
		t.Errorf("asked again: %+v, %v", again, err)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	s := spec(t, `echo $$ >$OUT/pid; exec sleep 1000`)
	r := setup(t)
	end := make(chan Exit, 1)
	go func() {
		exit, err := r.Run(context.Background(), s)
		if err != nil {
			t.Error(err)
		}
		end <- exit
	}()
	waittest.Eventually(t, "the command's start", func() bool { return exists(filepath.Join(s.Cwd, "pid")) })
	if err := r.Kill(s); err != nil {
		t.Fatal(err)
	}
	if exit := <-end; exit.Class != store.StepKilled {
		t.Errorf("got %+v", exit)
	}
}

func TestTwoSupervisorsOneClaim(t *testing.T) {
	t.Parallel()
	s := spec(t, `echo begun >>$OUT/begun`)
	r := setup(t)
	ends := make(chan Exit, 8)
	for range cap(ends) {
		go func() {
			exit, err := r.Run(context.Background(), s)
			if err != nil {
				t.Error(err)
			}
			ends <- exit
		}()
	}
	for range cap(ends) {
		if exit := <-ends; exit.Class != store.StepOK {
			t.Errorf("got %+v", exit)
		}
	}
	begun, err := os.ReadFile(filepath.Join(s.Cwd, "begun"))
	if err != nil || string(begun) != "begun\n" {
		t.Errorf("begun %q, %v", begun, err)
	}
	// Supervisors that lost the claim may still read the directory, which is deleted after the test.
	waittest.Eventually(t, "the supervisors to leave", func() bool { return !named(t, s.Dir) })
}

// named reports whether any process has this argument.
func named(t *testing.T, argument string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		line, _ := os.ReadFile(file) // an ended process has none
		return slices.Contains(strings.Split(string(line), "\x00"), argument)
	})
}

func TestLogKeepsHeadAndTail(t *testing.T) {
	t.Parallel()
	s := spec(t, `echo head; i=0; while [ $i -lt 3000 ]; do echo "line $i xxxxxxxxxxxxxxxxxxxx"; i=$((i+1)); done; echo tail`)
	s.LogCap = 8 << 10
	if exit, err := setup(t).Run(t.Context(), s); err != nil || exit.Class != store.StepOK {
		t.Fatalf("got %+v, %v", exit, err)
	}
	b, err := os.ReadFile(LogFile(s.Dir))
	if err != nil {
		t.Fatal(err)
	}
	log := string(b)
	if !strings.HasPrefix(log, "head\n") || !strings.HasSuffix(log, "tail\n") ||
		!strings.Contains(log, "bytes omitted") || len(log) > 9<<10 {
		t.Errorf("%d bytes: %.80q … %.80q", len(log), log, log[max(0, len(log)-80):])
	}
}

// A long last line is cut between two characters.
func TestLastLineIsCut(t *testing.T) {
	t.Parallel()
	c, err := newCapped(filepath.Join(t.TempDir(), "log"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "x"+strings.Repeat("é", 400)+"\n"); err != nil {
		t.Fatal(err)
	}
	if line := c.lastLine(); !utf8.ValidString(line) || len(line) > 700 {
		t.Errorf("%q", line)
	}
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "x")
	t.Setenv("NOTIFY_SOCKET", "/nowhere")
	s := spec(t, `env >$OUT/env`)
	if exit, err := setup(t).Run(t.Context(), s); err != nil || exit.Class != store.StepOK {
		t.Fatalf("got %+v, %v", exit, err)
	}
	b, err := os.ReadFile(filepath.Join(s.Cwd, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"SECRET_OF_THE_DAEMON", "NOTIFY_SOCKET"} {
		if strings.Contains(string(b), bad) {
			t.Errorf("%s reached the command", bad)
		}
	}
}

func TestPrintedProgress(t *testing.T) {
	t.Parallel()
	s := spec(t, `i=0; while [ $i -lt 90000 ]; do echo "noise $i"; i=$((i+1)); done; printf 'done 3/4\nend 4'; until [ -e $OUT/go ]; do sleep 0.02; done`)
	s.Progress, s.LogCap = `done (?P<done>\d+)/(?P<total>\d+)`, 1000
	end := make(chan error, 1)
	go func() { _, err := setup(t).Run(context.Background(), s); end <- err }()
	waittest.Eventually(t, "the progress of the last whole line", func() bool {
		p, ok := progress.Read(ProgressFile(s.Dir), PrintedFile(s.Dir))
		return ok && p.Share != nil && *p.Share == 0.75
	})
	if err := os.WriteFile(filepath.Join(s.Cwd, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-end; err != nil {
		t.Error(err)
	}
}
