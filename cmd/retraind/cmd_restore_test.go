package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A ledger entry that cannot be read is reported by every command that finds it, and only restoring renames it.
func TestUnreadableLedgerEntry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args    []string
		code    int
		renamed bool
	}{
		{[]string{"restore", "--dry-run"}, exitOK, false},
		{[]string{"restore"}, exitFailed, true},
		{[]string{"run"}, exitConfig, true},
	} {
		dir := t.TempDir()
		config, entry := filepath.Join(dir, "retraind.yaml"), filepath.Join(dir, "ledger", "one.json")
		if err := os.Mkdir(filepath.Dir(entry), 0o700); err != nil {
			t.Fatal(err)
		}
		for path, text := range map[string]string{config: "no: configuration", entry: "{"} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		code := run(append(c.args, "--config", config, "--state", dir), nil, &out, &out)
		said := strings.Join(strings.Fields(out.String()), " ")
		if code != c.code || !strings.Contains(said, "ledger entry one.json cannot be read") ||
			strings.Contains(said, "was renamed to one.json.damaged") != c.renamed {
			t.Errorf("%v: status %d:\n%s", c.args, code, out.String())
		}
		if _, err := os.Stat(entry); (err == nil) == c.renamed {
			t.Errorf("%v: the entry: %v", c.args, err)
		}
	}
}

// The state directory is found in a configuration that is invalid for another reason.
func TestStateOfAnInvalidConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := &app{config: filepath.Join(dir, "retraind.yaml")}
	for written, want := range map[string]string{
		"/srv/state # its disk":     "/srv/state",
		`"/srv/the state"`:          "/srv/the state",
		"'/srv/the state' # quoted": "/srv/the state",
		"data":                      filepath.Join(dir, "data"),
		"'data'":                    filepath.Join(dir, "data"),
	} {
		if err := os.WriteFile(a.config, []byte("version: 1\nstate: "+written+"\nno: key\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := a.stateDir(newRestore(a), ""); err != nil || got != want {
			t.Errorf("state: %s: %s, %v; want %s", written, got, err, want)
		}
	}
}
