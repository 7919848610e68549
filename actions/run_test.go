package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

var goodSteps = []string{"export ok", "train ok", "gate ok", "release ok", "verify ok"}

func TestPromoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	var told []string
	w.executor.Ended = func(model string) { mu.Lock(); told = append(told, model); mu.Unlock() }

	r := w.run(pipeline(w.train(7)))
	w.ends(r, policy.OutcomePromoted, "first release: 70.0% of 60 held-out items right", goodSteps...)
	first := w.model().Champion
	w.serves(first)

	r = w.run(pipeline(w.train(10)))
	w.ends(r, policy.OutcomePromoted,
		"not worse: candidate 100.0%, champion 70.0% of 60 held-out items (only the candidate is right on 18, only the champion on 0)",
		goodSteps...)
	m := w.model()
	w.serves(m.Champion)
	if m.Champion == first || m.Previous != first || m.Hold != "" || m.Monitor != "" {
		t.Errorf("model %+v", m)
	}
	var c Champion
	if err := json.Unmarshal([]byte(m.Baseline), &c); err != nil || c.Baseline.Accuracy != 1 || c.Baseline.N != 60 ||
		c.Seq != 260 {
		t.Errorf("baseline %s, %v", m.Baseline, err)
	}
	if a, b := w.release(first).State, w.release(m.Champion).State; a != store.ReleasePrevious ||
		b != store.ReleaseChampion {
		t.Errorf("the releases are %s and %s", a, b)
	}
	want := []string{"run.step", "run.step", "run.step", "run.step", "run.step", "model.deployed", "run.finished"}
	if diff := cmp.Diff(want, w.events(r.ID)); diff != "" {
		t.Error(diff)
	}
	sum, err := ReadSummary(r.Result)
	if err != nil {
		t.Fatal(err)
	}
	if v := sum.Verify; v == nil || v.Probed != 62 || v.Agreed != 62 || v.Differ != 20 || v.AsFormer != 0 ||
		v.Health != m.Champion {
		t.Errorf("proof %+v", v) // 60 items, of which 18 differ, two of those asked twice
	}
	if sum.Export.Train != 200 || sum.Export.Test != 60 || sum.Export.Seq != 260 || sum.Gate.Seq != 260 ||
		sum.Serving != m.Champion {
		t.Errorf("summary %+v", sum)
	}
	waittest.Eventually(t, "both ends reported",
		func() bool { mu.Lock(); defer mu.Unlock(); return slices.Equal(told, []string{"m", "m"}) })

	r = w.run(pipeline(w.train(9)))
	w.ends(r, policy.OutcomeRejected, "worse: candidate 90.0%, champion 100.0%", "export ok", "train ok",
		"gate rejected")

	third := w.model()
	w.promote.Gate = GatePoint
	w.promote.CategoryFloor = 100
	r = w.run(pipeline(w.train(10), sh("note", "echo same")))
	w.ends(r, policy.OutcomeRejected, "the artifact that is already deployed", "export ok", "train ok", "gate rejected")
	if w.model() != third || w.release(third.Champion).State != store.ReleaseChampion {
		t.Error("training the champion again has changed it")
	}
	w.serves(third.Champion)
}

// An artifact that was refused before is judged again, under its existing release.
func TestSameArtifactAsARefusedOne(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	first := w.champion()
	w.ends(w.run(pipeline(w.train(5))), policy.OutcomeRejected, "worse", "export ok", "train ok", "gate rejected")
	w.promote = PromoteConfig{
		Gate: GateNotWorse, Margin: 50, CategoryFloor: 100,
		VerifyWithin: unit.Duration(10 * time.Second), UndoWithin: unit.Duration(100 * time.Millisecond),
	}
	r := w.run(pipeline(w.train(5)))
	w.ends(r, policy.OutcomePromoted, "not worse", goodSteps...)
	m := w.model()
	if rel := w.release(m.Champion); rel.State != store.ReleaseChampion || rel.Run != r.ID ||
		rel.Path != filepath.Join(w.dir, "releases", r.ID) {
		t.Errorf("release %+v", rel)
	}
	// The first artifact again: it is the previous release and becomes the champion again.
	r = w.run(pipeline(w.train(7)))
	w.ends(r, policy.OutcomePromoted, "not worse", goodSteps...)
	if m = w.model(); m.Champion != first {
		t.Errorf("champion %s, want %s", text.Digest(m.Champion), text.Digest(first))
	}
	w.serves(first)
}

func TestRejected(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	champion := w.champion()
	undone := filepath.Join(w.dir, "undone")
	quiesce := sh("quiesce", "true")
	quiesce.Undo = []string{"echo again >>" + undone}
	steps := append([]StepConfig{{quiesce}}, pipeline(w.train(3))...)
	r := w.run(steps)
	w.ends(r, policy.OutcomeRejected,
		`category "category 0" would get worse: recall from 70% to 30% on 20 items, F1 from 82 to 46; category_floor allows a loss of 5 points; candidate 30.0%, champion 70.0%`,
		"quiesce ok", "export ok", "train ok", "gate rejected", "undo quiesce ok")
	w.serves(champion)
	if m := w.model(); m.Champion != champion || m.Hold != "" {
		t.Errorf("model %+v", m)
	}
	if got := readText(t, undone); got != "again\n" {
		t.Errorf("undone %q", got)
	}
	want := []string{"run.step", "run.step", "run.step", "run.step", "run.step", "model.rejected", "run.finished"}
	if diff := cmp.Diff(want, w.events(r.ID)); diff != "" {
		t.Error(diff)
	}
}

// A deployment that leaves the old model in service is detected and rolled back: first the release, then the commands.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	champion := w.champion()
	if r := w.run(pipeline(w.train(7))); r.Outcome != string(policy.OutcomeRejected) {
		t.Fatalf("a second run of the same artifact: %+v", r)
	}
	w.served.setStuck(true)
	w.promote.VerifyWithin = unit.Duration(300 * time.Millisecond)
	log := filepath.Join(w.dir, "order")
	restart := sh("restart", "echo restart on $(readlink $RETRAIND_CURRENT) >>"+log)
	restart.Undo = []string{"echo undo restart on $(readlink $RETRAIND_CURRENT) as $RETRAIND_UNDO >>" + log}
	before, err := os.Readlink(CurrentLink(w.dir))
	if err != nil {
		t.Fatal(err)
	}
	r := w.run(pipeline(w.train(10), restart))
	w.ends(r, policy.OutcomeRolledBack,
		"the two releases answer 20 of the 40 requests differently",
		"export ok", "train ok", "gate ok", "release ok", "restart ok", "verify not_proved", "undo release ok",
		"undo restart ok", "prove ok")
	w.serves(champion)
	if want, got := fmt.Sprintf("restart on releases/%s\nundo restart on %s as 1\n", r.ID, before),
		readText(t, log); got != want {
		t.Errorf("the commands ran so:\n%swant:\n%s", got, want)
	}
	events := w.events(r.ID)
	if i := len(events) - 2; !slices.Equal(events[i:], []string{"model.rolled_back", "run.finished"}) ||
		slices.Contains(events, "model.deployed") {
		t.Errorf("events %v", events)
	}
	sum, err := ReadSummary(r.Result)
	if err != nil || w.release(sum.Release).State != store.ReleaseRolledBack ||
		w.release(champion).State != store.ReleaseChampion || sum.Serving != champion {
		t.Errorf("%+v, %v", sum, err)
	}
	if m := w.model(); m.Champion != champion || m.Hold != "" {
		t.Errorf("model %+v", m)
	}
}

// Without a former release a rollback is impossible: the run fails, and nothing is in service.
func TestFirstReleaseNotProved(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.promote.VerifyWithin = unit.Duration(200 * time.Millisecond)
	w.promote.Smoke = []Smoke{{Text: map[string]string{"title": titled(0)}, Expect: "never"}}
	r := w.run(pipeline(w.train(7)))
	w.ends(r, policy.OutcomeFailed, `smoke case 1 is answered "category 0", expected "never"`,
		"export ok", "train ok", "gate ok", "release ok", "verify not_proved", "undo release ok", "prove ok")
	w.serves("")
	if m := w.model(); m.Champion != "" {
		t.Errorf("model %+v", m)
	}
}

// If the former release cannot be verified either, the model is held until a person has checked.
func TestRollbackThatCannotBeProvedHolds(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	for _, c := range []struct{ name, breaks, want string }{
		{
			"its files are damaged", "echo junk >>$RETRAIND_MODEL_DIR/releases/run0001/model.json; false",
			"break: exit status 1; its output: ",
		},
		{"the service is broken", "touch $RETRAIND_MODEL_DIR/mute", "the classifier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			champion := w.champion()
			w.promote.VerifyWithin = unit.Duration(200 * time.Millisecond)
			r := w.run(pipeline(w.train(10), sh("break", c.breaks)))
			if r.Outcome != string(policy.OutcomeFailed) || !strings.Contains(r.Reason, c.want) ||
				!strings.Contains(r.Reason, "; and ") {
				t.Errorf("%s: %s", r.Outcome, r.Reason)
			}
			if m := w.model(); m.Champion != champion || !strings.Contains(m.Hold, `"by":"run `+r.ID+`"`) {
				t.Errorf("model %+v", m)
			}
			if rel := w.release(champion); rel.State != store.ReleaseChampion {
				t.Errorf("release %+v", rel)
			}
		})
	}
}

func TestFailedCommandNamesItsOutput(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	r := w.run(pipeline(sh("train", "echo epoch 1; echo 'ValueError: no such column' >&2; exit 3")))
	out := runner.LogFile(AttemptDir(filepath.Join(w.dir, "runs", r.ID), "train", 1))
	w.ends(r, policy.OutcomeFailed, "train: exit status 3: ValueError: no such column; its output: "+out, "export ok",
		"train failed")
	if got := readText(t, out); got != "epoch 1\nValueError: no such column\n" {
		t.Errorf("output %q", got)
	}
	w.serves("")
}

func TestBadTrainings(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	for _, c := range []struct{ name, script, want string }{
		{"leaves nothing", "true", "is empty: the pipeline's training must write the artifact to $RETRAIND_RELEASE_DIR"},
		{"answers nothing", "echo x >$RETRAIND_RELEASE_DIR/model", "the training wrote no predictions.jsonl"},
		{"answers rubbish", "echo x >$RETRAIND_RELEASE_DIR/predictions.jsonl", "predictions.jsonl:1: invalid character 'x'"},
		{
			"answers a part",
			`echo '{"id":"1","text_hash":"h","answers":{"label":"a"}}' >$RETRAIND_RELEASE_DIR/predictions.jsonl`,
			"predictions.jsonl answers 1 of the 60 lines of test.jsonl: was it cut off?",
		},
		{
			"answers others",
			`for i in $(seq 60); do echo '{"id":"'$i'","text_hash":"h","answers":{"label":"a"}}'; done >$RETRAIND_RELEASE_DIR/predictions.jsonl`,
			"do the ids and texts in predictions.jsonl come from this run's test.jsonl?",
		},
		{"leaves a link", "ln -s /etc/hostname $RETRAIND_RELEASE_DIR/model", "no links"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ends(w.run(pipeline(sh("train", c.script))), policy.OutcomeFailed, c.want, "export ok", "train ok", "gate failed")
		})
	}
}

// The release that passed the gate is the one that is deployed: a change in between is detected.
func TestArtifactChangedAfterTheGate(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	champion := w.champion()
	meddle := sh("meddle", "echo more >>$RETRAIND_RELEASE_DIR/model.json")
	r := w.run([]StepConfig{Do(DoExport), {w.train(10)}, Do(DoGate), {meddle}, Do(DoRelease), Do(DoVerify)})
	if r.Outcome != string(policy.OutcomeRolledBack) || !strings.Contains(r.Reason, "the files were changed after the manifest was written") {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	w.serves(champion)
}

// TestExportWaitsForItsSource checks that a temporary failure of the database does not fail the run.
func TestExportWaitsForItsSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.away.Store(2)
	w.ends(w.run(pipeline(w.train(7))), policy.OutcomePromoted, "first release: 70.0% of 60 held-out items right",
		goodSteps...)
}

func TestBrokenExportFailsBeforeTraining(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.champion()
	whole := w.source.list
	w.source.list = whole[:200]
	w.ends(w.run(pipeline(w.train(10))), policy.OutcomeFailed, "the export has 140 training items, the champion's had 200",
		"export failed")
	w.source.list, w.source.err = whole, errors.New("connection lost")
	w.ends(w.run(pipeline(w.train(10))), policy.OutcomeFailed, "export: connection lost", "export failed")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	long := sh("train", "sleep 1000")
	long.Timeout = unit.Duration(300 * time.Millisecond)
	w.ends(w.run(pipeline(long)), policy.OutcomeFailed, "train: not finished within its timeout of 300ms", "export ok",
		"train timeout")

	verify := pipeline(w.train(7))
	verify[4].StepType = &VerifyStep{StepCommon: StepCommon{Timeout: unit.Duration(300 * time.Millisecond)}}
	w.promote.Smoke = []Smoke{{Text: map[string]string{"title": titled(0)}, Expect: "never"}}
	w.ends(w.run(verify), policy.OutcomeFailed, "not finished within its timeout of 300ms", "export ok", "train ok", "gate ok",
		"release ok", "verify timeout", "undo release ok", "prove ok")
}

func TestRetries(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	flaky := sh("train",
		"echo attempt >>$RETRAIND_MODEL_DIR/tries; test $(wc -l <$RETRAIND_MODEL_DIR/tries) -ge 3 && exec "+
			w.self+" fake-train 7")
	flaky.Retries = 2
	w.ends(w.run(pipeline(flaky)), policy.OutcomePromoted, "first release", "export ok", "train failed", "train failed",
		"train ok", "gate ok", "release ok", "verify ok")
	never := sh("train", "exit 1")
	never.Retries = 1
	w.ends(w.run(pipeline(never)), policy.OutcomeFailed, "exit status 1", "export ok", "train failed", "train failed")
	oom := sh("train", "echo CUDA out of memory; exit 1") // retried once, independent of retries
	w.ends(w.run(pipeline(oom)), policy.OutcomeFailed, "out of memory", "export ok", "train gpu_oom", "train gpu_oom")
}

// The manifest beside the exported files has the facts that the run stores.
func TestManifestOfARun(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	p := w.submit(pipeline(w.train(7)))
	sum, err := ReadSummary(w.await(p).Result)
	if err != nil {
		t.Fatal(err)
	}
	var manifest ExportFacts
	if err := json.Unmarshal([]byte(readText(t, filepath.Join(p.dataDir(), "manifest.json"))), &manifest); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*sum.Export, manifest); diff != "" || manifest.Seq != 260 {
		t.Error(manifest.Seq, diff)
	}
}
