package actions

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// counted is a training that appends a line to a file each time.
func (w *world) counted(tenths string) *CommandStep {
	c := sh("train", "echo x >>$RETRAIND_MODEL_DIR/trainings; exec "+w.self+" fake-train "+tenths)
	c.Kind = KindPure
	return c
}

func (w *world) trainings() int {
	w.t.Helper()
	return strings.Count(readText(w.t, filepath.Join(w.dir, "trainings")), "x")
}

// retry repeats a run from a step on.
func (w *world) retry(parent Plan, steps []StepConfig, from string) (Plan, store.Run) {
	w.t.Helper()
	w.runs++
	p := w.plan(steps)
	first := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == from })
	carry, _ := p.Carry(parent, first)
	p.Parent = &Parent{Run: parent.Run, RunDir: parent.RunDir, From: from, Carry: carry}
	w.add(p)
	w.handOver(p)
	return p, w.await(p)
}

// A retry reuses files that still exist, repeats steps that were undone, and does not change the former run.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := sh("room", "echo made >>$RETRAIND_MODEL_DIR/room")
	room.Undo = []string{"echo back >>$RETRAIND_MODEL_DIR/room"}
	convert := sh("convert", "test -e $RETRAIND_MODEL_DIR/ok || { echo half >$RETRAIND_RELEASE_DIR/half; exit 1; }")
	steps := []StepConfig{
		Do(DoExport), {w.counted("7")}, {room}, {convert}, Do(DoGate), Do(DoRelease), Do(DoVerify),
	}
	parent := w.submit(steps)
	former := w.await(parent)
	w.ends(former, policy.OutcomeFailed, "convert", "export ok", "train ok", "room ok", "convert failed", "undo room ok")
	before, _, err := sumTree(parent.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(w.dir, "ok"), "")
	p, r := w.retry(parent, steps, "convert")
	if diff := cmp.Diff([]string{"export", "train"}, p.Parent.Carry); diff != "" {
		t.Error(diff)
	}
	w.ends(r, policy.OutcomePromoted, "first release", "export ok", "train ok", "room ok", "convert ok", "gate ok", "release ok",
		"verify ok")
	if n := w.trainings(); n != 1 {
		t.Errorf("%d trainings", n)
	}
	if got := readText(t, filepath.Join(w.dir, "room")); got != "made\nback\nmade\n" {
		t.Errorf("room was made %q", got)
	}
	if exists(filepath.Join(p.releaseDir(), "half")) {
		t.Error("files of the failed step were reused")
	}
	if after, _, _ := sumTree(parent.RunDir); after != before || !exists(filepath.Join(parent.releaseDir(), "half")) {
		t.Error("the former run was changed")
	}
	w.view(func(tx *store.Tx) error {
		seen, err := ReadTrained(tx, "m", p.Run)
		if seen == nil || seen.Len() == 0 {
			t.Error("it is not on record what the release trained on")
		}
		steps, err2 := tx.Steps(p.Run)
		for _, s := range steps[:2] {
			if s.Kind != store.KindCarried || !strings.HasPrefix(s.Detail, "reused from run ") {
				t.Errorf("%+v", s)
			}
		}
		times, err3 := tx.StepTimes("m", "default", 1)
		if _, known := times["train"]; known || times["convert"] == nil {
			t.Errorf("times %v", times)
		}
		return cmpErr(err, err2, err3)
	})

	// A retry of a retry reuses everything from the first retry.
	p, r = w.retry(p, steps, "gate")
	w.ends(r, policy.OutcomeRejected, "the artifact that is already deployed", "export ok", "train ok", "room ok", "convert ok", "gate rejected",
		"undo room ok")
	if len(p.Parent.Carry) != 3 || w.trainings() != 1 {
		t.Errorf("carried %v", p.Parent.Carry)
	}
}

// What a step left in the shared directory is gone after its run, and is not there in a retry that reused the step
// either: a retry of that retry runs the step again for a command that may need it.
func TestRetryOfARetryWithSharedFiles(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	steps := []StepConfig{
		Do(DoExport),
		{w.counted("0")},
		{sh("merge", "echo merged >$RETRAIND_WORK_DIR/merged")},
		{sh("convert", "cat $RETRAIND_WORK_DIR/merged")},
		Do(DoGate), Do(DoRelease), Do(DoVerify),
	}
	first := w.submit(steps)
	w.ends(w.await(first), policy.OutcomeRejected, "", "export ok", "train ok", "merge ok", "convert ok", "gate rejected")
	second, r := w.retry(first, steps, "gate")
	if diff := cmp.Diff([]string{"export", "train", "merge", "convert"}, second.Parent.Carry); diff != "" {
		t.Fatal(diff)
	}
	w.ends(r, policy.OutcomeRejected, "", "export ok", "train ok", "merge ok", "convert ok", "gate rejected")
	third, r := w.retry(second, steps, "convert")
	if diff := cmp.Diff([]string{"export", "train"}, third.Parent.Carry); diff != "" {
		t.Error(diff)
	}
	w.ends(r, policy.OutcomeRejected, "", "export ok", "train ok", "merge ok", "convert ok", "gate rejected")
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Changed files are not reused: their step and all later ones run again.
func TestRetryOfChangedFiles(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	prepare := sh("prepare", "echo p >$RETRAIND_DATA_DIR/prepared; echo x >>$RETRAIND_MODEL_DIR/prepared")
	steps := []StepConfig{
		Do(DoExport), {prepare}, {w.counted("7")}, {sh("convert", "exit 1")}, Do(DoGate), Do(DoRelease), Do(DoVerify),
	}
	parent := w.submit(steps)
	w.await(parent)
	writeText(t, filepath.Join(parent.dataDir(), "prepared"), "q") // same size
	p, r := w.retry(parent, steps, "convert")
	w.ends(r, policy.OutcomeFailed, "convert", "export ok", "prepare ok", "train ok", "convert failed")
	if len(p.Parent.Carry) != 3 || w.trainings() != 2 || readText(t, filepath.Join(w.dir, "prepared")) != "x\nx\n" {
		t.Errorf("carried %v, %d trainings", p.Parent.Carry, w.trainings())
	}
	w.view(func(tx *store.Tx) error {
		steps, err := tx.Steps(p.Run)
		for i, want := range []string{"reused from run", "(ran again: prepared was changed after that run)", "the earlier step prepare ran again"} {
			if !strings.Contains(steps[i].Detail, want) {
				t.Errorf("step %d: %q", i, steps[i].Detail)
			}
		}
		return err
	})
}

// Carry returns beforehand what a retry can reuse.
func TestCarry(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	script := filepath.Join(t.TempDir(), "train.sh")
	writeText(t, script, "exec "+w.self+" fake-train 7\n")
	train := argv("train", "/bin/sh", script)
	train.Kind = KindPure
	merge := sh("merge", "echo merged >$RETRAIND_WORK_DIR/merged")
	steps := []StepConfig{
		Do(DoExport),
		{train},
		{merge},
		{sh("convert", "test -e $RETRAIND_WORK_DIR/merged && exit 1")},
		Do(DoGate), Do(DoRelease), Do(DoVerify),
	}
	parent := w.submit(steps)
	w.await(parent)
	p := w.plan(steps)
	carry, why := p.Carry(parent, 3)
	if diff := cmp.Diff([]string{"export", "train"}, carry); diff != "" || why != "" {
		t.Errorf("merge left what convert needs: %s %q", diff, why)
	}
	if _, why = p.Carry(parent, 4); !strings.Contains(why, "no files of step convert are left") {
		t.Error(why)
	}
	writeText(t, script, "exec "+w.self+" fake-train 8\n")
	carry, why = p.Carry(parent, 3)
	if diff := cmp.Diff([]string{"export"}, carry); diff != "" || !strings.Contains(why, "step train, or a file that it names, was changed") {
		t.Errorf("the script was changed: %s %q", diff, why)
	}
	if err := os.RemoveAll(parent.RunDir); err != nil {
		t.Fatal(err)
	}
	if carry, why = p.Carry(parent, 3); len(carry) != 0 || !strings.Contains(why, "no files of step export are left") {
		t.Errorf("the run's directory is gone: %v %q", carry, why)
	}
}
