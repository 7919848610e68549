//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/docker/guard"
	"github.com/retraind/retraind/internal/dockertest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// guarded starts a guard of an engine for one service. It returns the guard's address and its log.
func guarded(t *testing.T, e *engine, s guard.Service) (host string, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	g, err := guard.New(guard.Config{
		Engine: e.host, Services: []guard.Service{s}, State: t.TempDir(), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(e.dir, "guard.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "unix://" + path, log
}

// The guard lets through what retraind and compose need for the service, and refuses what would give more rights.
func TestGuardedEngine(t *testing.T) { eachCompose(t, guardedEngine) }

func guardedEngine(t *testing.T, p program) {
	e := startEngine(t)
	dir := filepath.Join(e.dir, "suite")
	if err := os.CopyFS(dir, os.DirFS("testdata/suite")); err != nil {
		t.Fatal(err)
	}
	compose := func(host string, args ...string) (string, error) {
		out, err := p.command(dir, host, append([]string{"--project-name", "suite"}, args...)...).CombinedOutput()
		return string(out), err
	}
	must := func(host string, args ...string) {
		t.Helper()
		if out, err := compose(host, args...); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	must(e.host, "build", "--quiet")
	host, log := guarded(t, e, guard.Service{Dir: dir, Name: "api"})
	if out, err := compose(host, "up", "-d"); err == nil || !strings.Contains(out, "bring the service up once by hand") {
		t.Fatalf("%v: %s", err, out)
	}
	must(e.host, "up", "-d")
	c, err := docker.New(host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dockertest.Suite(t, dockertest.Subject{Client: c, Project: "suite", Service: "api", Image: "suite-api"})
	must(host, "build", "--quiet", "api")
	must(host, "up", "-d", "--no-build", "--no-deps", "--force-recreate", "api")

	// The same compose file with additional rights is refused.
	text, err := os.ReadFile(filepath.Join(dir, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"    privileged: true", "    volumes: [\"/:/host\"]"} {
		key, _, _ := strings.Cut(more, ":")
		changed := string(text)
		if i := strings.Index(changed, key+":"); i >= 0 {
			changed = changed[:i]
		}
		if err := os.WriteFile(filepath.Join(dir, "docker-compose.yml"), []byte(changed+more+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := compose(host, "up", "-d", "--no-build", "--no-deps", "--force-recreate", "api"); err == nil ||
			!strings.Contains(out, "bring the service up once by hand") {
			t.Errorf("up with %q in the compose file should be refused, with a cure: %v: %s", more, err, out)
		}
	}
	other := exec.Command("docker", "run", "--detach", "--name", "other", "--network", "none", "--volume", "/usr:/usr:ro", "--volume",
		"/lib:/lib:ro", "--volume", "/lib64:/lib64:ro", "suite-api")
	other.Env = append(os.Environ(), "DOCKER_HOST="+e.host)
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	now, err := c.Containers(t.Context(), "suite", "api")
	if err != nil || len(now) != 1 {
		t.Fatalf("want one container of the service, got %d: %v", len(now), err)
	}
	if p.v2 && !now[0].Running() { // version 1 stops the container before it sends the request that is refused
		t.Errorf("after a refused replacement the container is %s, want running", now[0].State)
	}
	id := now[0].ID
	if err := c.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"stop", "other"},
		{"exec", id, "/usr/bin/true"},
		{"run", "--rm", "-v", "/:/host", "suite-api"},
		{"pull", "debian"},
		{"cp", id + ":/Dockerfile", "copy"},
		{"build", "-t", "other", "."},
	} {
		cmd := exec.Command("docker", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "DOCKER_HOST="+host, "DOCKER_BUILDKIT=0")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "retraind docker-helper: ") {
			t.Errorf("docker %v should be refused by the helper: %v: %s", args, err, out)
		}
	}
	ps := exec.Command("docker", "ps", "-a", "--format", "{{.Names}}")
	ps.Env = append(os.Environ(), "DOCKER_HOST="+host)
	if out, err := ps.CombinedOutput(); err != nil || strings.Contains(string(out), "other") {
		t.Errorf("docker ps through the helper should hide the container \"other\": %v: %s", err, out)
	}
	if t.Failed() {
		t.Log(log.String())
	}
}

// The daemon of the tuner's scenario uses the engine only through the guard.
func TestTunerStoryGuarded(t *testing.T) { eachCompose(t, tunerStoryGuarded) }

func tunerStoryGuarded(t *testing.T, p program) {
	o := newTuner(t, p)
	var log *bytes.Buffer
	o.host, log = guarded(t, o.engine, guard.Service{Dir: o.path("tuner", service), Name: "classifier-api"})
	o.run()
	o.model("the adoption", func(m status.Model) bool { return m.Release != "" && m.Report != nil && m.Report.Scored > 0 })
	id0, image0 := o.container()
	o.checked(p, id0)
	o.sql("update items set priority = truth")
	o.retrain("default", 1, policy.OutcomePromoted, "not worse")
	_, image1 := o.container()
	if image1 == image0 {
		t.Error("after the promotion the container still has the former image")
	}
	file1 := o.read("tuner/" + model)
	o.sql("update items set priority = 'hoch' where content like '%haushalt%'")
	app := o.read("tuner/" + service + "/app.py")
	o.write("tuner/"+service+"/app.py", strings.Replace(app, `print("ready"`, `raise SystemExit("no such model")  #`, 1))
	o.retrain("default", 2, policy.OutcomeFailed, "no such model") // the candidate's container ends at once
	o.asBefore("failing candidate", image1, file1)
	if said := log.String(); strings.Contains(said, "refused") || !strings.Contains(said, "/containers/create") {
		t.Errorf("the guard's log should have /containers/create and no refusal:\n%s", said)
	}
}

// checked runs `retraind check --pipeline` through the guard. It finds nothing until the compose file asks for more
// rights than the running container has, and it changes nothing.
func (o *operator) checked(p program, id string) {
	o.t.Helper()
	check := func(more ...string) (string, int) {
		cmd := exec.Command(o.self, "check", "--pipeline", "default", "--config", o.path("retraind.yaml"))
		cmd.Env = append(o.env(), more...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := check(); code != 0 {
		o.t.Errorf("check: exit status %d, want 0\n%s", code, out)
	}
	file := "tuner/" + service + "/docker-compose.yml"
	text := o.read(file)
	o.write(file, strings.Replace(text, "    build: .\n", "    build: .\n    privileged: true\n", 1))
	if out, code := check(); code != 3 || !strings.Contains(out, "helper_refuses") || !strings.Contains(out, "privileged is true") {
		o.t.Errorf("check of a compose file with privileged: exit status %d, want 3 with helper_refuses\n%s", code, out)
	}
	o.write(file, text)
	if out, code := check("DOCKER_BUILDKIT=1"); p.v2 && (code != 3 || !strings.Contains(out, "helper_refuses")) {
		o.t.Errorf("check with BuildKit: exit status %d, want 3 with helper_refuses\n%s", code, out)
	}
	if now, _ := o.container(); now != id {
		o.t.Errorf("check replaced the container: it is %s, was %s", now, id)
	}
	if out, err := o.engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").CombinedOutput(); err != nil ||
		strings.TrimSpace(string(out)) != "classifier-api running" {
		o.t.Errorf("after check, want only the running container of the service: %v: %s", err, out)
	}
}
