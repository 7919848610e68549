package systemdtest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestInstalledService follows docs/operations.md on a machine with a real systemd, where the daemon runs as an
// unprivileged user. Each part continues where the previous one ended.
func TestInstalledService(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it tests the shipped program, which has no race detector")
	}
	e := playedEngine(t)
	m := newMachine(t, e.Host)
	m.configure(m.install())
	m.secretNobodyMayRead()
	m.secretOfTheGroup()
	m.secretAsCredential()
	m.membersOfTheGroup()
	m.train()
	m.backupAndUpgrade()
	m.reloadWithFault()
	m.stepOutlivesTheDaemon()
	m.rights()
	m.looksAhead()
	m.dockerHelper(e)
	m.watchdog()
	m.startWithFault()
	if len(m.page) > 0 {
		t.Errorf("%s:%d: the test did not execute this block and those after it", m.page[0].Page, m.page[0].Line)
	}
}

// install runs `sudo make install` and `sudo retraind init`, although Go is not in sudo's PATH and the clone belongs to
// another user. It returns the output.
func (m *machine) install() string {
	m.t.Helper()
	out := m.block("make install")
	m.same("what was installed", m.Must("stat", "-c", "%n %U:%G %a", "/usr/local/bin/retraind",
		"/etc/systemd/system/retraind.service", "/etc/retraind", "/var/lib/retraind", "/run/retraind", "/run/retraind/gpu"), `
/usr/local/bin/retraind root:root 755
/etc/systemd/system/retraind.service root:root 644
/etc/retraind root:retraind 750
/var/lib/retraind retraind:retraind 700
/run/retraind retraind:retraind 750
/run/retraind/gpu retraind:retraind 2770
`)
	m.same("owner of what was built", m.Must("stat", "-c", "%U", m.repo+"/bin/retraind"), "\nanna\n")
	if out, code := m.Run("systemd-analyze", "verify", "retraind.service",
		"retraind-classifier@relevance.service"); code != 0 || out != "" {
		m.t.Errorf("systemd-analyze verify: exit status %d\n%s", code, out)
	}
	var units []struct{ Path, Text string }
	if err := json.Unmarshal([]byte(m.Must("retraind", "init", "systemd", "--json")), &units); err != nil || len(units) < 4 {
		m.t.Fatalf("retraind init systemd printed %d units, want at least 4: %v", len(units), err)
	}
	for _, unit := range units { // these units are for machines without the source tree
		m.same(unit.Path+" from retraind init systemd", "\n"+unit.Text, "\n"+m.Read(unit.Path))
	}
	return out
}

// configure follows the instructions of init, except for the mode of the connection string.
func (m *machine) configure(said string) {
	m.t.Helper()
	m.items(600)
	m.says(said, "chown root:retraind "+dsnFile+" && chmod 0640 "+dsnFile, "sudo -u retraind retraind check",
		"systemctl enable --now retraind-classifier@relevance")
	// The quiet hours are far away, so that no run begins by itself.
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		m.t.Fatal(err)
	}
	later := time.Now().In(zone).Add(6 * time.Hour)
	window := fmt.Sprintf("from: %q, to: %q", later.Format("15:04"), later.Add(2*time.Hour).Format("15:04"))
	m.edit(`from: "22:00", to: "06:00"`, window)
	m.edit("sat-sun, all_day: true", "sat-sun, "+window)
	m.sql(m.Read("/etc/retraind/retraind.sql"))
	m.Write(dsnFile, m.login(), 0o600)
}

// secretNobodyMayRead checks that the start fails with status 78 if only root can read the connection string, and that
// the message has the remedy.
func (m *machine) secretNobodyMayRead() {
	m.t.Helper()
	m.refused("start")
	m.says(m.Journal("retraind"), "no permission to read dsn_file "+dsnFile,
		"chown retraind: "+dsnFile+" and chmod 0600 "+dsnFile)
	if out, code := m.As("retraind", "retraind", "check"); code != 1 {
		m.t.Errorf("retraind check as the service's user, who may not read the secret: exit status %d, want 1\n%s", code, out)
	}
	m.Must("sh", "-c", "chown retraind: "+dsnFile+" && chmod 0600 "+dsnFile) // the remedy from the message
	m.MustAs("retraind", "retraind", "check")
	m.Must("systemctl", "start", "retraind")
	m.Must("systemctl", "stop", "retraind")
}

// secretOfTheGroup checks a start with the owner and mode that init and the documents recommend for the secret.
func (m *machine) secretOfTheGroup() {
	m.t.Helper()
	m.Must("sh", "-c", "chown root:retraind "+dsnFile+" && chmod 0640 "+dsnFile)
	m.MustAs("retraind", "retraind", "check")
	m.Must("retraind", "check")
	m.says(m.block("enable --now retraind"), "is valid", "active (running)")
	m.block("check --pipeline")
	m.Must("systemctl", "stop", "retraind")
	m.block("restore --dry-run")
}

// secretAsCredential checks a start with a secret that only root can read and systemd passes as a credential.
func (m *machine) secretAsCredential() {
	m.t.Helper()
	m.Must("sh", "-c", "chown root:root "+dsnFile+" && chmod 0600 "+dsnFile)
	m.edit("dsn_file: "+dsnFile, "dsn_file: pg-dsn")
	m.dropIn("LoadCredential=pg-dsn:" + dsnFile + "\nRestartSec=100ms\n")
	m.Must("systemctl", "start", "retraind")
	m.same("the socket", m.Must("stat", "-c", "%U:%G %a", "/run/retraind", "/run/retraind/retraind.sock"),
		"\nretraind:retraind 750\nretraind:retraind 660\n")
}
