package actions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// smallDisk mounts a small file system over a directory.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skip("a small file system can be mounted by root only: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// A step that finds the disk full ends as disk_full, and is not retried.
func TestExportAndCollectOntoAFullDisk(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	smallDisk(t, w.dir)
	full := filepath.Join(w.dir, "full")
	fill := sh("fill", fmt.Sprintf("cat /dev/zero >>%[1]q 2>/dev/null; truncate -s -12288 %[1]q", full))
	export := Do(DoExport)
	export.StepType.(*ExportStep).Retries = 1
	w.ends(w.run([]StepConfig{{fill}, export, {w.train(9)}, Do(DoGate), Do(DoRelease), Do(DoVerify)}), policy.OutcomeFailed,
		"; free disk space, then start the run again", "fill ok", "export disk_full")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	big := sh("train", "head -c 5000000 /dev/zero >model")
	big.Dir, big.Collect, big.Retries = t.TempDir(), map[string]string{"model": "model"}, 1
	w.ends(w.run([]StepConfig{Do(DoExport), {big}, Do(DoGate), Do(DoRelease), Do(DoVerify)}), policy.OutcomeFailed,
		"; free disk space, then start the run again", "export ok", "train disk_full")
}

// The disk of the model's directory becomes full before a step; this is tested for each step. A step that must write
// then ends the run with the reason, and the champion stays in service. Once there is space again, the next run is
// promoted.
func TestFullDiskInEachStep(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	for at, name := range []string{"export", "train", "gate", "release", "verify"} {
		steps := func(w *world, tenths int) []StepConfig { return pipeline(w.train(tenths)) }
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			smallDisk(t, w.dir)
			if r := w.run(steps(w, 6)); r.Outcome != string(policy.OutcomePromoted) {
				t.Fatalf("%s: %s", r.Outcome, r.Reason)
			}
			full := filepath.Join(w.dir, "full")
			// The script leaves free space for the page of its own record.
			const script = "head -c 3000000 /dev/zero >%[1]q; cat /dev/zero >>%[1]q 2>/dev/null; truncate -s -8192 %[1]q"
			r := w.run(slices.Insert(steps(w, 8), at, StepConfig{sh("fill", fmt.Sprintf(script, full))}))
			promoted := r.Outcome == string(policy.OutcomePromoted)
			noRoom := strings.Contains(r.Reason, " free") || strings.Contains(r.Reason, " left")
			if writes := name == "export" || name == "train"; writes && promoted || !promoted && !noRoom {
				t.Errorf("%s: %s; %v", r.Outcome, r.Reason, w.steps(r.ID))
			}
			m := w.model()
			if m.Hold != "" {
				t.Errorf("hold %q", m.Hold)
			}
			w.serves(m.Champion)
			if err := os.Remove(full); err != nil {
				t.Error(err)
			}
			if r := w.run(steps(w, 9)); r.Outcome != string(policy.OutcomePromoted) {
				t.Errorf("with room again: %s: %s", r.Outcome, r.Reason)
			}
		})
	}
}

// A directory whose free space cannot be read makes a step fail; it does not stop the execution of the run.
func TestUnreadableSpace(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.champion() // how much the steps write is known now
	writeText(t, filepath.Join(w.dir, "file"), "")
	p := w.plan(pipeline(w.train(9)))
	w.runs++
	p.Run, p.RunDir = "other", filepath.Join(w.dir, "file", "runs", "other")
	w.add(p)
	out, err := w.executor.doStep(t.Context(), p, Action{Kind: ActDo, Step: 1, Attempt: 1}, nil)
	if err != nil || out.Class != store.StepFailed || !strings.Contains(out.Detail, "not a directory") {
		t.Errorf("%+v, %v", out, err)
	}
}
