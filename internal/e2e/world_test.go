//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/status"
)

// TestMain lets the test binary also run as the scripts of a training.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "script" {
		if err := script(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pgtest.Main(m))
}

// operator is the environment of a person who operates a service: a directory with its files, a database, an engine and
// the program retraind.
type operator struct {
	t      *testing.T
	dir    string // parent of all files
	self   string // path of the program retraind
	dsn    string
	port   int
	engine *engine // nil if no service is a container
	host   string  // address of the engine for the daemon, if it is not the engine's own; else ""
	daemon *exec.Cmd

	program program // docker compose
}

const modelName = "relevance"

// newPlace returns an operator without an engine, with a database and the program.
func newPlace(t *testing.T, sql string) *operator {
	t.Helper()
	dir := t.TempDir()
	o := &operator{t: t, dir: dir, self: filepath.Join(dir, "retraind"), dsn: pgtest.Database(t, sql), port: freePort(t)}
	if out, err := exec.Command("go", "build", "-o", o.self, "../../cmd/retraind").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return o
}

// newOperator returns an operator with an engine and a service of docker compose.
func newOperator(t *testing.T, sql string) *operator {
	t.Helper()
	o := newPlace(t, sql)
	o.program = composeV1(t)
	if err := os.CopyFS(o.path("compose"), os.DirFS("testdata/compose")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(o.path("compose", "deploy.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.engine = startEngine(t)
	return o
}

func (o *operator) path(parts ...string) string {
	return filepath.Join(append([]string{o.dir}, parts...)...)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (o *operator) sql(statements ...string) {
	o.t.Helper()
	ctx := context.Background()
	db, err := pgx.Connect(ctx, o.dsn)
	if err != nil {
		o.t.Fatal(err)
	}
	defer db.Close(ctx)
	for _, s := range statements {
		if _, err := db.Exec(ctx, s); err != nil {
			o.t.Fatalf("%s: %v", s, err)
		}
	}
}

// sh runs a command in the service's directory, as an operator would.
func (o *operator) sh(command string) {
	o.t.Helper()
	cmd := exec.Command("sh", "-ec", command)
	cmd.Dir = o.path("compose")
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+o.engine.host, fmt.Sprint("PORT=", o.port), "DOCKER_BUILDKIT=0")
	cmd.Env = append(cmd.Env, o.program.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// retraind runs a command of retraind, and returns its output and exit status.
func (o *operator) retraind(args ...string) (string, int) {
	o.t.Helper()
	cmd := exec.Command(o.self, append(args, "--config", o.path("retraind.yaml"))...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs a command of retraind, which must succeed, and returns its output.
func (o *operator) must(args ...string) string {
	o.t.Helper()
	out, code := o.retraind(args...)
	if code != 0 {
		o.t.Fatalf("retraind %s: exit status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// run starts the daemon.
func (o *operator) run() {
	o.t.Helper()
	log, err := os.Create(o.path("daemon.log"))
	if err != nil {
		o.t.Fatal(err)
	}
	defer log.Close()
	o.daemon = exec.Command(o.self, "run", "--config", o.path("retraind.yaml"))
	o.daemon.Stdout, o.daemon.Stderr = log, log
	o.daemon.Env = o.env()
	if err := o.daemon.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		_ = o.daemon.Process.Signal(syscall.SIGTERM)
		_ = o.daemon.Wait()
		if o.t.Failed() {
			text, _ := os.ReadFile(o.path("daemon.log"))
			o.t.Logf("the daemon said:\n%s", text[max(0, len(text)-8000):])
		}
	})
}

// model waits until ok returns true for the status of the model, and returns this status.
func (o *operator) model(what string, ok func(status.Model) bool) (m status.Model) {
	o.t.Helper()
	o.eventually(what, func() (bool, error) {
		out, code := o.retraind("status", "--json")
		if code != 0 {
			return false, fmt.Errorf("exit status %d: %s", code, out)
		}
		var s status.Status
		if err := json.NewDecoder(bytes.NewReader([]byte(out))).Decode(&s); err != nil {
			return false, err
		}
		m = s.Models[0]
		return ok(m), fmt.Errorf("%s: %s", m.Phase, m.Sentence)
	})
	return m
}

// ended waits for the end of the n-th run, and returns it.
func (o *operator) ended(n int) status.Run {
	o.t.Helper()
	var run status.Run
	o.eventually(fmt.Sprintf("the end of run %d", n), func() (bool, error) {
		var runs []status.Run
		if err := json.Unmarshal([]byte(o.must("runs", "list", "--json")), &runs); err != nil {
			return false, err
		}
		if len(runs) < n {
			return false, fmt.Errorf("%d runs", len(runs))
		}
		run = runs[0]
		return run.Outcome != "", fmt.Errorf("%s", run.State)
	})
	return run
}

// eventually waits until ok reports true, as long as the build of an image may take on a slow machine.
func (o *operator) eventually(what string, ok func() (bool, error)) {
	o.t.Helper()
	ctx, stop := context.WithTimeout(o.t.Context(), 5*time.Minute)
	defer stop()
	err := waittest.Until(ctx, what, func() (bool, error) {
		done, seen := ok()
		if done {
			return true, nil
		}
		return false, seen
	})
	if err != nil {
		o.t.Fatal(err)
	}
}
