package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/systemd"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := systemd.Files("/opt/retraind/bin/retraind", systemd.State, systemd.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, f := range files {
		places = append(places, f.Path)
		if strings.Contains(f.Text, systemd.Binary) {
			t.Errorf("%s still names %s", f.Name, systemd.Binary)
		}
		if strings.HasSuffix(f.Name, ".service") && !strings.Contains(f.Text, "\nExecStart=/opt/retraind/bin/retraind ") {
			t.Errorf("%s does not start the program it was made for", f.Name)
		}
	}
	want := []string{
		"/etc/systemd/system/retraind-classifier@.service",
		"/etc/systemd/system/retraind-docker.service",
		"/etc/systemd/system/retraind-docker.socket",
		"/etc/systemd/system/retraind-restore.service",
		"/etc/systemd/system/retraind-restore.timer",
		"/etc/systemd/system/retraind.service",
		"/usr/lib/sysusers.d/retraind.conf",
		"/usr/lib/tmpfiles.d/retraind.conf",
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Error(diff)
	}
}

func TestFilesRefuseBadPaths(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "retraind", "/opt/my programs/retraind", "/opt/%h/retraind", "/x\nUser=root"} {
		if _, err := systemd.Files(bad, systemd.State, systemd.Needs{}); err == nil {
			t.Errorf("Files(%q) gave no error", bad)
		}
		if _, err := systemd.Files(systemd.Binary, bad, systemd.Needs{}); err == nil {
			t.Errorf("Files with the state in %q gave no error", bad)
		}
	}
}

func TestFilesForAnotherState(t *testing.T) {
	t.Parallel()
	files, err := systemd.Files(systemd.Binary, "/home/me/state", systemd.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, f := range files {
		all += f.Text
	}
	for _, wrong := range []string{systemd.State + "\n", systemd.State + "/", "StateDirectory=retraind\n"} {
		if strings.Contains(all, wrong) {
			t.Errorf("the files still say %s", wrong)
		}
	}
	for _, right := range []string{
		"\nReadWritePaths=/home/me/state\n", "--model /home/me/state/models/%i/current ",
		"\nd /home/me/state 0700 ",
	} {
		if !strings.Contains(all, right) {
			t.Errorf("the files do not say %s", right)
		}
	}
}

// The daemon and retraind restore query the GPU: both units may open its devices.
func TestUnitsMayQueryTheGPU(t *testing.T) {
	t.Parallel()
	files, err := systemd.Files(systemd.Binary, systemd.State, systemd.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	devices := map[string][]string{}
	for _, f := range files {
		for line := range strings.Lines(f.Text) {
			if strings.HasPrefix(line, "DeviceAllow=") {
				devices[f.Name] = append(devices[f.Name], line)
			}
		}
	}
	if diff := cmp.Diff(devices["retraind.service"], devices["retraind-restore.service"]); diff != "" || len(devices) != 2 {
		t.Errorf("(-retraind.service +retraind-restore.service):\n%s\n%v", diff, devices)
	}
}

// Every unit loads without a warning and stays as sandboxed as it is now. The limit is systemd-analyze's exposure
// times ten: a trained model's unit needs access to the GPU, the network and its own files.
func TestUnitsVerify(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("systemd-analyze is not installed (apt-get install systemd)")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "retraind") // verify requires that every program exists
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := systemd.Files(binary, systemd.State, someNeeds)
	if err != nil {
		t.Fatal(err)
	}
	threshold := map[string]string{
		"retraind.service": "20", "retraind-restore.service": "18", "retraind-classifier@.service": "12",
		"retraind-docker.service": "12",
	}
	for _, f := range files { // they refer to each other
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f.Text), f.Mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name, ".service") && !strings.HasSuffix(f.Name, ".timer") {
			continue
		}
		path := filepath.Join(dir, f.Name)
		verify := exec.Command(analyze, "verify", path)
		verify.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_UNIT_PATH="+dir+":")
		// Findings about other units of the host name other files.
		if out, err := verify.CombinedOutput(); err != nil || strings.Contains(string(out), f.Name) {
			t.Errorf("verify %s: %v\n%s", f.Name, err, out)
		}
		if threshold[f.Name] == "" {
			continue
		}
		if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold="+threshold[f.Name],
			path).CombinedOutput(); err != nil {
			t.Errorf("%s is more exposed than %s: %v\n%s", f.Name, threshold[f.Name], err, out)
		}
	}
}
