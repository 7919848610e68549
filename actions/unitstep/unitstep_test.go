package unitstep

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/store"
)

// TestMain lets the test binary also run as the job.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "step" {
		if err := job.Run(context.Background(), map[string]job.Work{"unit": Do}, os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// systemctl is a script that replaces the program. It knows one unit, whose state is in a file.
const systemctl = `#!/bin/sh
state=$(dirname "$0")/state
case "$1" in
show)
	[ "$4" = gone.service ] && { printf 'not-found\ninactive\n'; exit; }
	[ "$4" = masked.service ] && { printf 'masked\ninactive\n'; exit; }
	echo loaded; read -r now <"$state"; echo "$now";;
--no-ask-password)
	[ "$3" = bad.service ] && { echo "Job for $3 failed." >&2; exit 1; }
	[ "$3" = weak.service ] && { echo failed >"$state"; exit; }
	case "$2" in stop) echo inactive;; *) echo active;; esac >"$state";;
esac
`

type machine struct {
	t    *testing.T
	root string
}

func (m machine) do(unit, action string, back bool) (job.Result, string) {
	m.t.Helper()
	dir := m.t.TempDir()
	in := Input{Unit: unit, Action: action, Before: filepath.Join(m.root, "before-"+action), Back: back}
	if err := job.Prepare(dir, func() (any, error) { return in, nil }); err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "step", "unit", dir)
	cmd.Env = append(os.Environ(), "PATH="+m.root+":"+os.Getenv("PATH"))
	out, _ := cmd.CombinedOutput()
	result, wrote, err := job.ReadResult(dir)
	if err != nil || !wrote {
		m.t.Fatalf("no result: %v: %s", err, out)
	}
	state, err := os.ReadFile(filepath.Join(m.root, "state"))
	if err != nil {
		m.t.Fatal(err)
	}
	return result, strings.TrimSpace(string(state))
}

func newMachine(t *testing.T, state string) machine {
	t.Helper()
	m := machine{t, t.TempDir()}
	for name, text := range map[string]string{"systemctl": systemctl, "state": state + "\n"} {
		if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestDo(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "active")
	for _, c := range []struct {
		action string
		back   bool
		want   string
	}{
		{"stop", true, "active"}, // the run has not begun the action: nothing to undo
		{"stop", false, "inactive"},
		{"stop", false, "inactive"},
		{"stop", true, "active"},
		{"restart", false, "active"},
		{"restart", true, "active"},
		{"start", false, "active"},
		{"start", true, "active"}, // it was active before
	} {
		if r, state := m.do("api.service", c.action, c.back); r.Class != store.StepOK || state != c.want {
			t.Fatalf("%s, back %v: %s: %s; the unit is %s", c.action, c.back, r.Class, r.Detail, state)
		}
	}
	m = newMachine(t, "inactive")
	if r, state := m.do("api.service", "start", false); r.Class != store.StepOK || state != "active" {
		t.Errorf("start: %+v, %s", r, state)
	}
	if r, state := m.do("api.service", "start", true); r.Class != store.StepOK || state != "inactive" {
		t.Errorf("start undone: %+v, %s", r, state)
	}
}

// A crash or a full disk leaves an empty record of the state before a step. The next attempt writes it again, so that the
// step can be undone.
func TestEmptyRecord(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"stop", "start"} {
		m := newMachine(t, "active")
		if err := os.WriteFile(filepath.Join(m.root, "before-"+action), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		m.do("api.service", action, false)
		if r, state := m.do("api.service", action, true); state != "active" {
			t.Errorf("%s undone: %s: %s; the unit is %s", action, r.Class, r.Detail, state)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for unit, words := range map[string]string{
		"gone.service": "there is no unit gone.service", "masked.service": "systemctl unmask masked.service",
		"bad.service": "Job for bad.service failed.", "weak.service": "weak.service is failed after systemctl restart",
	} {
		if r, _ := newMachine(t, "active").do(unit, "restart", false); r.Class != store.StepFailed ||
			!strings.Contains(r.Detail, words) {
			t.Errorf("%s: %s: %s", unit, r.Class, r.Detail)
		}
	}
}
