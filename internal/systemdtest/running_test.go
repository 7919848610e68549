package systemdtest_test

import (
	"fmt"
	"strings"
)

// membersOfTheGroup checks that members of the daemon's group may use the daemon, without a flag for the socket, and
// that others may not.
func (m *machine) membersOfTheGroup() {
	m.t.Helper()
	out, code := m.As("bob", "retraind", "status")
	if code != 4 {
		m.t.Errorf("retraind status by a user outside the daemon's group: exit status %d, want 4", code)
	}
	m.says(out, "join the daemon's group (adduser NAME retraind)")
	hold := []string{"retraind", "gpu", "hold", "--config", "/none", "--gpu", "GPU-1", "--", "true"}
	if out, code = m.As("bob", hold...); code != 1 {
		m.t.Errorf("retraind gpu hold by a user outside the daemon's group: exit status %d, want 1", code)
	}
	m.says(out, "/run/retraind/gpu: no permission for user bob", "join the group retraind")
	m.Must("usermod", "-aG", "retraind", "bob")
	m.says(m.MustAs("bob", "retraind", "status"), "relevance")
	m.says(m.Must("retraind", "status"), "relevance")
	m.says(m.MustAs("retraind", "retraind", "status"), "relevance")
	m.MustAs("bob", hold...)
	m.MustAs("retraind", hold...)
	m.Must(hold...)
	m.same("the locks", m.Must("stat", "-c", "%n %U:%G %a", "/run/retraind/gpu", "/run/retraind/gpu/GPU-1.lock"), `
/run/retraind/gpu retraind:retraind 2770
/run/retraind/gpu/GPU-1.lock bob:retraind 660
`)
	// Where systemd-tmpfiles has not run, the daemon creates the directory in its sandbox, which refuses the set-group-ID bit.
	m.Must("rm", "-r", "/run/retraind/gpu")
	m.Must(append([]string{
		"systemd-run", "--wait", "--pipe", "-p", "User=retraind", "-p", "Group=retraind", "-p", "UMask=0077",
		"-p", "RestrictSUIDSGID=yes", "-p", "SystemCallFilter=@system-service", "-p", "SystemCallFilter=~@privileged",
		"-p", "SystemCallErrorNumber=EPERM",
	}, hold...)...)
	hold[6] = "GPU-2"
	m.MustAs("bob", hold...)
	m.MustAs("retraind", hold...)
	m.same("the locks", m.Must("stat", "-c", "%n %U:%G %a", "/run/retraind/gpu", "/run/retraind/gpu/GPU-2.lock"), `
/run/retraind/gpu retraind:retraind 770
/run/retraind/gpu/GPU-2.lock bob:retraind 660
`)
	m.Must("systemd-tmpfiles", "--create", "retraind.conf")
}

// train runs the whole default pipeline, with the packaged classifier.
func (m *machine) train() {
	m.t.Helper()
	m.says(m.MustAs("bob", "retraind", "trigger", "relevance", "--wait"), "promoted", "forced by bob")
	m.says(m.Property("retraind", "StatusText"), "relevance: ")
}

// backupAndUpgrade checks that the backup contains the store, and that the daemon continues with its store after an
// upgrade.
func (m *machine) backupAndUpgrade() {
	m.t.Helper()
	m.block("tar -C /var/lib")
	m.says(m.Must("tar", "-tf", "/root/retraind.tar.gz"), "retraind/retraind.db\n", "/split-salt\n")
	m.block("systemctl restart")
	m.Until("the daemon to know the model", func() (bool, error) {
		out, code := m.Run("retraind", "status")
		return code == 0 && strings.Contains(out, "600 items"), fmt.Errorf("%s", out)
	})
}

// reloadWithFault checks that the reload of an invalid configuration fails, that the unit's status shows the error, and
// that the daemon keeps the old configuration.
func (m *machine) reloadWithFault() {
	m.t.Helper()
	pid := m.Property("retraind", "MainPID")
	m.Must("systemctl", "reload", "retraind")
	m.edit("accuracy_below: 85%", "accuracy_below: 85")
	fault := []string{"retraind.yaml:41:23", `accuracy_below: "85" is not between 0 and 1`}
	if out, code := m.Run("systemctl", "reload", "retraind"); code == 0 {
		m.t.Errorf("systemctl reload with an invalid configuration succeeded, but should fail: %s", out)
	}
	shown, _ := m.Run("systemctl", "status", "--no-pager", "--full", "retraind")
	m.says(shown, append(fault, "Active: active (running)")...)
	out, code := m.As("bob", "retraind", "config", "reload")
	if code != 1 {
		m.t.Errorf("retraind config reload of an invalid file: exit status %d, want 1", code)
	}
	m.says(out, append(fault, "the old one stays")...)
	if out, code := m.As("bob", "retraind", "status", "--check"); code != 3 || !strings.Contains(out, "REFUSED") {
		m.t.Errorf("retraind status --check after a refused reload: exit status %d, want 3 and REFUSED\n%s", code, out)
	}
	m.edit("accuracy_below: 85", "accuracy_below: 85%")
	m.Must("systemctl", "reload", "retraind")
	m.MustAs("bob", "retraind", "config", "reload")
	m.Must("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "retraind")
	m.same("the daemon's process", "\n"+m.Property("retraind", "MainPID"), "\n"+pid)
}

// The steps print their rights, and wait for the test. A step of kind once that was executed again would fail the run.
const steps = `{name: train, exec: [retraind, train], kind: pure, timeout: 2h}
        - name: sandbox
          exec: [sh, -c, 'id -un; umask; grep -E "NoNewPrivs|CapEff" /proc/self/status; for dir in /etc /usr/local/bin /home/bob /root /srv /var/lib; do touch $dir/x && echo wrote $dir; done; touch "$RETRAIND_RELEASE_DIR/ok"']
          kind: pure
          timeout: 1m
        - name: slow
          exec: [sh, -c, 'echo $$ >/var/lib/retraind/pid; until [ -e /var/lib/retraind/go ]; do sleep 0.1; done']
          kind: once
          timeout: 10m`

// stepOutlivesTheDaemon checks that a step runs in the unit's sandbox, and continues while the daemon is restarted and
// killed.
func (m *machine) stepOutlivesTheDaemon() {
	m.t.Helper()
	m.edit("{name: train, exec: [retraind, train], kind: pure, timeout: 2h}", steps)
	m.Must("systemctl", "reload", "retraind")
	m.sql("update items set category = 'Sport' where id in (select id from items limit 60)")
	words := strings.Fields(m.MustAs("bob", "retraind", "trigger", "relevance"))
	run := words[1]
	m.Until("the slow step to begin", func() (bool, error) {
		out, code := m.Run("cat", "/var/lib/retraind/pid")
		return code == 0 && strings.HasSuffix(out, "\n"), fmt.Errorf("%s", out)
	})
	step := strings.TrimSpace(m.Read("/var/lib/retraind/pid"))
	m.same("what a step may do", m.Must("retraind", "runs", "logs", run, "--step", "sandbox"), `
==> sandbox, attempt 1 <==
retraind
0077
CapEff:    0000000000000000
NoNewPrivs:    1
touch: cannot touch '/etc/x': Read-only file system
touch: cannot touch '/usr/local/bin/x': Read-only file system
touch: cannot touch '/home/bob/x': Read-only file system
touch: cannot touch '/root/x': Read-only file system
touch: cannot touch '/srv/x': Read-only file system
touch: cannot touch '/var/lib/x': Read-only file system
`)
	m.Must("systemctl", "restart", "retraind")
	m.Must("kill", "-0", step)
	m.restarts(func() { m.Must("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "retraind") })
	m.Must("kill", "-0", step)
	m.Must("touch", "/var/lib/retraind/go")
	var shown string
	m.Until("the run's end", func() (bool, error) {
		shown = m.MustAs("bob", "retraind", "runs", "show", run)
		return strings.Contains(shown, "rejected") || strings.Contains(shown, "promoted"), fmt.Errorf("%s", shown)
	})
	m.same("the pid of the slow step", "\n"+m.Read("/var/lib/retraind/pid"), "\n"+step+"\n")
}

// watchdog checks that a hanging daemon is killed with a dump of its goroutines and restarted.
func (m *machine) watchdog() {
	m.t.Helper()
	m.dropIn("LoadCredential=pg-dsn:" + dsnFile + "\nRestartSec=100ms\nWatchdogSec=2s\nTimeoutAbortSec=5s\n")
	m.Must("systemctl", "restart", "retraind")
	m.restarts(func() { m.Must("systemctl", "kill", "-s", "STOP", "--kill-whom=main", "retraind") })
	m.says(m.Journal("retraind"), "Watchdog timeout", "SIGABRT: abort", "goroutine 1 ")
}

// startWithFault checks that a start with an invalid configuration fails with status 78, and that systemd does not
// restart the unit.
func (m *machine) startWithFault() {
	m.t.Helper()
	m.Must("systemctl", "stop", "retraind")
	m.same("how the daemon stopped", "\n"+m.Property("retraind", "Result"), "\nsuccess")
	m.edit("accuracy_below: 85%", "accuracy_below: 85")
	m.refused("start")
}
