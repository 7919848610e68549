package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for anything; a busy machine under the race detector needs most of it.
const patience = 60 * time.Second

// cmdExits runs a program and checks its exit code: exits 3 retraind check. It writes the normalized output into the
// files `out` and `err`.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", strings.Join(args[1:], " "), err)
	}
	for _, name := range []string{"stdout", "stderr"} {
		path := ts.MkAbs(strings.TrimPrefix(name, "std"))
		ts.Check(os.WriteFile(path, []byte(normal(ts, ts.ReadFile(name))), 0o600))
	}
	if got != want {
		ts.Fatalf("%s ended with %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args[1:], " "), got, want,
			ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// process is a program in the background with its log.
type process struct {
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
	code int  // valid once done is closed
	told bool // a signal asked it to end
}

// signalled is the code of a program that a signal ended.
const signalled = -1

// cmdStart starts a program in the background and waits until its log has a word: start daemon msg=ready retraind run.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME WORD PROGRAM [ARGUMENT…]")
	}
	program := args[2]
	if !strings.Contains(program, "/") {
		path, err := exec.LookPath(program) // the test binary's PATH has the program, as the scripts' has
		ts.Check(err)
		program = path
	}
	cmd := exec.Command(program, args[3:]...)
	cmd.Env = environment(ts)
	launch(ts, args[0], args[1], cmd)
}

// launch starts a program under a name and waits until its log has a word.
func launch(ts *testscript.TestScript, name, word string, cmd *exec.Cmd) {
	w := of(ts)
	if old := w.processes[name]; old != nil && !old.ended() {
		ts.Fatalf("%s runs already", name)
	}
	p := &process{cmd: cmd, log: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.WaitDelay = time.Second // a run's supervisor outlives the daemon
	ts.Check(p.cmd.Start())
	go func() {
		err := p.cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			p.code = exit.ExitCode()
		}
		close(p.done)
	}()
	w.processes[name] = p
	p.await(ts, name, regexp.MustCompile(regexp.QuoteMeta(word)))
}

// environment returns the variables of the script that the program uses; testscript cannot list them.
func environment(ts *testscript.TestScript) []string {
	env := []string{"PATH=" + ts.Getenv("PATH")}
	for _, name := range []string{
		"HOME", "TZ", "STATE", "COLUMNS", "NO_COLOR", "RETRAIND_CONFIG", "RETRAIND_SOCKET", "RETRAIND_LISTEN",
		"RETRAIND_STATE", "RETRAIND_LOG_LEVEL", "RETRAIND_RUN", "JOURNAL_STREAM", "LD_LIBRARY_PATH", "FAKE_NVML", "FAKE_NVML_STATE", "FAKE_NVML_CARDS",
	} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// await waits until the log matches; the end of the process is a failure.
func (p *process) await(ts *testscript.TestScript, name string, want *regexp.Regexp) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !want.MatchString(p.log.String()) {
		select {
		case <-p.done:
			if !want.MatchString(p.log.String()) {
				ts.Fatalf("%s ended with %d before it printed %q:\n%s", name, p.code, want, p.log.String())
			}
		case <-limit:
			ts.Fatalf("%s did not print %q:\n%s", name, want, p.log.String())
		case <-tick.C:
		}
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the program with SIGTERM, as systemd does.
func (p *process) stop() int {
	if !p.ended() && !p.told {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return p.code
}

func running(ts *testscript.TestScript, name string) *process {
	p := of(ts).processes[name]
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

// cmdEnds ends a program with SIGTERM and checks its exit code: ends daemon 0. It writes the log into the file `err`.
func cmdEnds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ends NAME CODE")
	}
	p := running(ts, args[0])
	code := p.stop()
	delete(of(ts).processes, args[0])
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(normal(ts, p.log.String())), 0o600))
	if strconv.Itoa(code) != args[1] {
		ts.Fatalf("%s ended with %d, want %s:\n%s", args[0], code, args[1], p.log.String())
	}
}

// cmdSignal sends a signal: signal daemon HUP.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL,
	}
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: signal NAME HUP|USR1|USR2|TERM|INT|KILL")
	}
	p := running(ts, args[0])
	ts.Check(p.cmd.Process.Signal(signals[args[1]]))
	p.told = p.told || args[1] == "INT" || args[1] == "TERM" || args[1] == "KILL"
}

// cmdAwaits waits until a program's log matches: awaits daemon 'msg="configuration refused'.
func cmdAwaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaits NAME REGEXP")
	}
	running(ts, args[0]).await(ts, args[0], regexp.MustCompile(args[1]))
}

// cmdEventually runs a program repeatedly until its output matches: eventually 'ARMED' retraind status. With -as it
// waits until the whole output equals a golden file, because several loops change the output one after the other:
// eventually -as golden 'ARMED' retraind status. A cmp that follows shows the difference.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	golden := ""
	if len(args) > 2 && args[0] == "-as" {
		golden, args = args[1], args[2:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually [-as GOLDEN] REGEXP PROGRAM [ARGUMENT…]")
	}
	want := regexp.MustCompile(args[0])
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	for {
		cmd := exec.CommandContext(ctx, program, args[2:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
		var out bytes.Buffer
		both := &lockedBuffer{}
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, both), both
		_ = cmd.Run() // only the output counts
		matches, text := want.MatchString(both.String()), normal(ts, out.String())
		if matches {
			ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(text), 0o600))
			if golden == "" || updating() || text == ts.ReadFile(golden) {
				return
			}
		}
		select {
		case <-ctx.Done():
			if matches {
				return // cmp shows where it differs
			}
			ts.Fatalf("%s did not print %q, but:\n%s", strings.Join(args[1:], " "), args[0], both.String())
		case <-tick.C:
		}
	}
}

// updating reports whether the golden files are rewritten from what the programs print.
func updating() bool { return os.Getenv("RETRAIND_UPDATE") != "" }

// lockedBuffer is written by a process and read by the script.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
