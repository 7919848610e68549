//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// gate forwards requests to an engine. It delays the engine's answer to one request, so that a test can kill the
// program that waits for it: then the engine has done what was requested, but the program does not send its next
// requests.
type gate struct {
	proxy *httputil.ReverseProxy

	mu   sync.Mutex // guards the fields below
	want func(*http.Request) bool
	held chan struct{} // closed when the answer is there and delayed
	free chan struct{} // closed to release the answer
}

// newGate starts a gate for an engine, and returns it and its address.
func newGate(t *testing.T, e *engine) (*gate, string) {
	t.Helper()
	socket := strings.TrimPrefix(e.host, "unix://")
	g := &gate{}
	g.proxy = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	g.proxy.FlushInterval = -1
	g.proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	g.proxy.ModifyResponse = func(r *http.Response) error {
		g.pass(r.Request)
		return nil
	}
	path := filepath.Join(e.dir, "gate.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: g.proxy} //nolint:gosec // for this test's own clients
	go server.Serve(l)                       //nolint:errcheck // it ends with the test
	t.Cleanup(func() { _ = server.Close() })
	return g, "unix://" + path
}

// holds makes the gate delay the answer to the next request for which want returns true.
func (g *gate) holds(want func(*http.Request) bool) (held, free chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want, g.held, g.free = want, make(chan struct{}), make(chan struct{})
	return g.held, g.free
}

func (g *gate) pass(r *http.Request) {
	g.mu.Lock()
	if g.want == nil || !g.want(r) {
		g.mu.Unlock()
		return
	}
	g.want = nil
	held, free := g.held, g.free
	g.mu.Unlock()
	close(held)
	<-free
}

// At each change that `up` of compose version 2 makes, the daemon, the supervisor, the job and compose are killed. The
// next daemon completes the replacement: there is one container, of a release that is proved.
func TestKilledExchangeV2(t *testing.T) {
	o := newTuner(t, composeV2(t))
	var g *gate
	g, o.host = newGate(t, o.engine)
	o.run()
	m := o.model("the adoption", func(m status.Model) bool {
		return m.Release != "" && m.Report != nil && m.Report.Scored > 0
	})
	adopted := m.Release
	id, image := o.container()

	// First the deployment of a candidate is killed, when the former container is removed and the new one is not started.
	o.sql("update items set priority = truth")
	held, free := g.holds(func(r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/containers/"+id)
	})
	o.must("trigger", modelName, "--reason", "labels corrected")
	o.killedAt("removed", held, free)
	o.one("removed", 1)
	if _, now := o.container(); now == image {
		t.Error("after the killed deployment the container still has the former image")
	}
	m = o.model("the promotion", func(m status.Model) bool { return m.Active == nil })
	if m.Release == adopted || m.Held != nil {
		t.Errorf("want a new release and no hold: %+v", m)
	}

	// Then the same release is deployed again, and killed at each other change.
	for i, at := range []string{"create", "stop", "remove", "rename", "start"} {
		id, _ := o.container()
		held, free := g.holds(func(r *http.Request) bool {
			path := r.URL.Path[strings.Index(r.URL.Path, "/containers/")+1:]
			switch at {
			case "create", "rename", "start":
				return r.Method == http.MethodPost && strings.HasSuffix(path, "/"+at)
			case "remove":
				return r.Method == http.MethodDelete && path == "containers/"+id
			}
			return r.Method == http.MethodPost && path == "containers/"+id+"/"+at
		})
		o.must("models", "redeploy", modelName)
		o.killedAt(at, held, free)
		o.one(at, i+2)
	}
}

// killedAt waits until the gate delays an answer, kills the daemon and all processes of its runs, and starts the daemon
// again.
func (o *operator) killedAt(what string, held, free chan struct{}) {
	o.t.Helper()
	waittest.Eventually(o.t, what, func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	_ = o.daemon.Process.Kill()
	for _, pid := range o.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = o.daemon.Wait()
	waittest.Eventually(o.t, "the end of the killed processes", func() bool { return len(o.processes()) == 0 })
	close(free)
	o.run()
}

// processes returns the processes of the daemon's runs: those with the state directory in their arguments or
// environment.
func (o *operator) processes() (pids []int) {
	o.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		o.t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || pid == o.daemon.Process.Pid {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			if b, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), file)); bytes.Contains(b, []byte(o.path("state")+"/")) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// one checks that the n-th run was promoted, that there is one container, and that it answers as the recorded release.
func (o *operator) one(what string, n int) {
	o.t.Helper()
	o.model("the daemon", func(status.Model) bool { return true })
	if run := o.ended(n); run.Outcome != policy.OutcomePromoted {
		o.t.Errorf("killed after %s: the run ended as %s, want promoted: %s\n%s",
			what, run.Outcome, run.Reason, o.must("runs", "show", run.ID))
	}
	out, err := o.engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "classifier-api running" {
		o.t.Errorf("killed after %s: want only the running container of the service: %v:\n%s", what, err, out)
	}
	if out, code := o.retraind("verify", modelName); code != 0 || !strings.HasPrefix(out, "proved: ") {
		o.t.Errorf("killed after %s: retraind verify: exit status %d, want 0 and proved: %s", what, code, out)
	}
}
