package systemdtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/dockertest"
)

const classifierUnit = "retraind-classifier@relevance.service"

// rights checks that the service has the rights that the configuration needs, and no others: to write into the steps'
// directory and to restart one unit.
func (m *machine) rights() {
	m.t.Helper()
	for _, program := range []string{"/usr/lib/polkit-1/polkitd", "/usr/bin/dbus-daemon"} {
		if _, code := m.Run("test", "-x", program); code != 0 {
			if os.Getenv("CI") == "true" {
				m.t.Fatalf("there is no %s (Debian: apt-get install dbus polkitd)", program)
			}
			m.t.Logf("SKIPPED: the service's rights to units: there is no %s (Debian: apt-get install dbus polkitd)", program)
			return
		}
	}
	m.Must("install", "-d", "-o", "retraind", "-g", "retraind", "/srv/tuner", "/srv/other")
	m.edit("    labels:\n", "    dir: /srv/tuner\n    deploy: {restart: {unit: "+classifierUnit+"}}\n    labels:\n")
	m.edit("- {do: release}", "- {do: deploy}")
	m.edit("        - name: sandbox\n", `        - {name: writes, exec: [sh, -c, "touch /srv/tuner/here; touch /srv/other/there || true"], kind: pure}
        - name: sandbox
`)
	m.edit("gate: not_worse, margin: 1, category_floor: 5", "gate: not_worse, margin: 50, category_floor: 50")
	m.generated("/etc/retraind/retraind.yaml")
	m.Must("systemctl", "restart", "retraind")
	before := m.Property(classifierUnit, "MainPID")
	// If the previous run was promoted, a training on the same labels would produce the deployed artifact again.
	m.sql("update items set category = 'Kultur' where id in (select id from items order by id limit 30)")
	m.says(m.MustAs("bob", "retraind", "trigger", "relevance", "--wait"), "promoted")
	m.says(m.Property(classifierUnit, "ActiveState"), "active")
	if m.Property(classifierUnit, "MainPID") == before {
		m.t.Error("the unit was not restarted")
	}
	if out, code := m.Run("ls", "/srv/tuner/here", "/srv/other/there"); code != 2 || !strings.Contains(out, "\n/srv/tuner/here") {
		m.t.Errorf("the step should have created /srv/tuner/here and not /srv/other/there; ls: %s", out)
	}
	m.MustAs("retraind", "systemctl", "--no-ask-password", "restart", classifierUnit)
	for _, args := range [][]string{
		{"restart", "dbus.service"},
		{"stop", "retraind-docker.socket"},
		{"reload", "retraind.service"},
		{"enable", classifierUnit},
		{"start", "retraind-classifier@other.service"},
		{"daemon-reload"},
	} {
		out, code := m.As("retraind", append([]string{"systemctl", "--no-ask-password"}, args...)...)
		if code == 0 {
			m.t.Errorf("systemctl %v as the service's user succeeded, but should be refused: %s", args, out)
		}
	}
}

// looksAhead checks that `check --pipeline` reports whether the service's user may restart the unit, and restarts
// nothing.
func (m *machine) looksAhead() {
	m.t.Helper()
	const rule = "/etc/polkit-1/rules.d/49-retraind.rules"
	if _, code := m.Run("test", "-e", rule); code != 0 {
		return // the check of rights was skipped
	}
	before := m.Property(classifierUnit, "InvocationID")
	finds := func(as string, want bool) {
		m.t.Helper()
		m.Until("what check finds as "+as, func() (bool, error) { // polkit reads changed rules with a delay
			out, code := m.As(as, "retraind", "check", "--pipeline", "default")
			if code != 0 && code != 3 {
				return false, fmt.Errorf("exit status %d: %s", code, out)
			}
			return strings.Contains(out, "unit_not_allowed") == want, errors.New(out)
		})
	}
	finds("retraind", false)
	finds("root", false) // check starts a process as the service's user
	m.Must("mv", rule, "/root/rule")
	finds("retraind", true)
	finds("root", true)
	m.Must("mv", "/root/rule", rule)
	finds("retraind", false)
	if now := m.Property(classifierUnit, "InvocationID"); now != before {
		m.t.Error("check restarted the unit")
	}
}

// generated installs the files that `retraind init systemd` generates.
func (m *machine) generated(config string) {
	m.t.Helper()
	var files []struct{ Path, Text string }
	out := m.Must("retraind", "init", "systemd", "--json", "--config", config)
	if err := json.Unmarshal([]byte(out), &files); err != nil {
		m.t.Fatal(err)
	}
	for _, f := range files {
		m.Write(f.Path, f.Text, 0o644)
	}
	m.Must("systemctl", "daemon-reload")
}

// playedEngine starts a fake engine with one container of the project news and one of the project other.
func playedEngine(t *testing.T) *dockertest.Engine {
	t.Helper()
	e := dockertest.Start(t)
	labels := func(project string) map[string]string {
		return map[string]string{
			docker.LabelProject: project, docker.LabelService: "api", docker.LabelDir: "/srv/" + project,
		}
	}
	for id, project := range map[string]string{"c1": "news", "c2": "other"} {
		e.Put(dockertest.Container{
			ID: id, Name: project + "-api-1", Image: "sha256:" + id, ImageName: project, State: "running",
			Started: time.Now().Add(-time.Hour), Network: "none", Labels: labels(project),
		})
	}
	return e
}

// dockerHelper checks that the service's user, and no other, gets the engine's answers to allowed requests through the
// docker helper.
func (m *machine) dockerHelper(e *dockertest.Engine) {
	m.t.Helper()
	m.Write("/etc/sysusers.d/docker.conf", "g docker -\n", 0o644)
	m.Must("systemd-sysusers")
	m.Must("chgrp", "-R", "docker", "/run/docker")
	m.Must("chmod", "-R", "g+rwX", "/run/docker")
	m.Write("/etc/retraind/compose.yaml", `version: 1
models:
  news:
    labels: {files: {dir: /srv/labels}}
    serving: {classify: "http://127.0.0.1:8082/classify", health: "http://127.0.0.1:8082/health"}
    retrain_when: {accuracy_below: 80%}
    deploy: {restart: {compose: {dir: /srv/news, service: api}}}
`, 0o644)
	m.generated("/etc/retraind/compose.yaml")
	m.Must("systemctl", "enable", "--now", "retraind-docker.socket")
	m.Write("/etc/systemd/system/retraind-docker.service.d/engine.conf",
		"[Service]\nBindPaths=/run/docker/s:/run/docker.sock\n", 0o644)
	m.Must("systemctl", "daemon-reload")
	ask := func(user, method, path string) string {
		out, _ := m.As(user, "perl", "-MIO::Socket::UNIX", "-e", `
			my $s = IO::Socket::UNIX->new("/run/retraind-docker.sock") or die "connect: $!";
			print $s "$ARGV[0] $ARGV[1] HTTP/1.0\r\n\r\n"; print <$s>;`, method, path)
		return out
	}
	m.says(ask("retraind", "GET", "/_ping"), "200 OK")
	m.says(ask("retraind", "POST", "/v1.41/containers/c1/stop"), "204 No Content")
	m.says(ask("retraind", "POST", "/v1.41/containers/c2/stop"), "403 Forbidden", "none of the configured services")
	m.says(ask("bob", "GET", "/_ping"), "403 Forbidden", "this user may not use the helper's socket")
	m.says(ask("anna", "GET", "/_ping"), "connect: Permission denied")
	if c1, _ := e.Get("c1"); c1.State != "exited" {
		m.t.Errorf("the configured service's container is %s, want exited", c1.State)
	}
	if c2, _ := e.Get("c2"); c2.State != "running" {
		m.t.Errorf("the container of another project is %s, want running", c2.State)
	}
	m.says(m.Journal("retraind-docker"), "POST /v1.41/containers/c1/stop", "refused", "uid=")
	m.same("the helper's user", "\n"+m.Must("ps", "-o", "user=", "-p", m.Property("retraind-docker", "MainPID")), "\nretraind-docker\n")
}
