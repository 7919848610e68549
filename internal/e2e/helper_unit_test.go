//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/systemdtest"
)

// The docker helper runs as a unit of a real systemd, with a real engine. Through it the daemon's user, who may not use
// the engine directly, replaces the container of the configured service by compose, but gets no more rights.
func TestHelperUnit(t *testing.T) {
	e := startEngine(t)
	b := systemdtest.Start(t, systemdtest.Options{Binds: map[string]string{"/run/docker": e.dir}})
	b.Must("mkdir", "-p", "/usr/local/bin", "/srv/suite", "/etc/retraind")
	build := exec.Command("go", "build", "-o", b.Path("/usr/local/bin/retraind"), "../../cmd/retraind")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	if err := os.CopyFS(b.Path("/srv/suite"), os.DirFS("testdata/suite")); err != nil {
		t.Fatal(err)
	}
	b.Write("/etc/sysusers.d/docker.conf", "g docker -\n", 0o644)
	b.Write("/etc/retraind/retraind.yaml", `version: 1
models:
  suite:
    labels: {files: {dir: /srv/labels}}
    serving: {classify: "http://127.0.0.1:8082/classify", health: "http://127.0.0.1:8082/health"}
    retrain_when: {accuracy_below: 80%}
    deploy: {restart: {compose: {dir: /srv/suite, service: api}}}
`, 0o644)
	var files []struct{ Path, Text string }
	out := b.Must("retraind", "init", "systemd", "--json", "--config", "/etc/retraind/retraind.yaml")
	if err := json.Unmarshal([]byte(out), &files); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b.Write(f.Path, f.Text, 0o644)
	}
	b.Must("systemd-sysusers")
	b.Must("chgrp", "docker", "/run/docker/docker.sock")
	b.Must("chmod", "660", "/run/docker/docker.sock")
	b.Write("/etc/systemd/system/retraind-docker.service.d/engine.conf",
		"[Service]\nBindPaths=/run/docker/docker.sock:/run/docker.sock\n", 0o644)
	b.Must("systemctl", "daemon-reload")
	b.Must("systemctl", "enable", "--now", "retraind-docker.socket")

	compose := func(host string, args ...string) []string {
		return append([]string{"env", "-C", "/srv/suite", "DOCKER_HOST=unix://" + host, "docker-compose"}, args...)
	}
	const engine, helper = "/run/docker/docker.sock", "/run/retraind-docker.sock"
	exchange := []string{"up", "-d", "--no-build", "--no-deps", "--force-recreate", "api"}
	b.Must(compose(engine, "build", "--quiet")...)
	if out, code := b.As("retraind", compose(engine, "ps")...); code == 0 {
		t.Errorf("the daemon's user should have no access to the engine's socket: %s", out)
	}
	if out, code := b.As("retraind", compose(helper, exchange...)...); code == 0 || !strings.Contains(out, "bring the service up once by hand") {
		t.Errorf("up without an existing container should be refused, with a cure: exit status %d: %s", code, out)
	}
	b.Must(compose(engine, "up", "-d")...)
	id := func() string {
		t.Helper()
		return strings.TrimSpace(b.Must(compose(engine, "ps", "-q")...))
	}
	before := id()
	b.MustAs("retraind", compose(helper, exchange...)...)
	if now := id(); now == before || len(strings.Fields(now)) != 1 {
		t.Errorf("up through the helper should replace the container: it is %s, was %s", now, before)
	}
	text := b.Read("/srv/suite/docker-compose.yml")
	b.Write("/srv/suite/docker-compose.yml", text+"    privileged: true\n", 0o644)
	if out, code := b.As("retraind", compose(helper, exchange...)...); code == 0 || !strings.Contains(out, "privileged is true") {
		t.Errorf("up of a privileged container should be refused: exit status %d: %s", code, out)
	}
	journal := b.Journal("retraind-docker")
	for _, want := range []string{"/containers/create", "forwarded to the engine", "refused", "uid="} {
		if !strings.Contains(journal, want) {
			t.Errorf("the journal has no %q:\n%s", want, journal)
		}
	}
	if user := strings.TrimSpace(b.Must("ps", "-o", "user:20=", "-p", b.Property("retraind-docker", "MainPID"))); user != "retraind-docker" {
		t.Errorf("the helper runs as user %s, want retraind-docker", user)
	}
}
