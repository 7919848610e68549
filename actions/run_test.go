package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/unit"
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
	w.ends(r, Promoted, "first release: 70.0 % of 60 held-out items right", goodSteps...)
	first := w.model().Champion
	w.serves(first)

	r = w.run(pipeline(w.train(10)))
	w.ends(r, Promoted, "not worse: candidate 100.0 %, champion 70.0 % of 60 held-out items (only the candidate is right on 18, only the champion on 0)", goodSteps...)
	m := w.model()
	w.serves(m.Champion)
	if m.Champion == first || m.Previous != first || m.Hold != "" || m.Monitor != "" {
		t.Errorf("model %+v", m)
	}
	var c Champion
	if err := json.Unmarshal([]byte(m.Baseline), &c); err != nil || c.Baseline.Accuracy != 1 || c.Baseline.N != 60 || c.Seq != 260 {
		t.Errorf("baseline %s, %v", m.Baseline, err)
	}
	if a, b := w.release(first).State, w.release(m.Champion).State; a != "previous" || b != "champion" {
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
	if v := sum.Verify; v == nil || v.Probed != 62 || v.Agreed != 62 || v.Differ != 20 || v.AsFormer != 0 || v.Health != m.Champion {
		t.Errorf("proof %+v", v) // 60 items, of which 18 differ, and two of those asked again
	}
	if sum.Export.Train != 200 || sum.Export.Test != 60 || sum.Export.Seq != 260 || sum.Gate.Seq != 260 || sum.Serving != m.Champion {
		t.Errorf("summary %+v", sum)
	}
	eventually(t, "both ends told", func() bool { mu.Lock(); defer mu.Unlock(); return slices.Equal(told, []string{"m", "m"}) })

	r = w.run(pipeline(w.train(9)))
	w.ends(r, Rejected, "worse: candidate 90.0 %, champion 100.0 %", "export ok", "train ok", "gate rejected")

	third := w.model()
	w.promote.Gate = GatePoint
	w.promote.CategoryFloor = 100
	r = w.run(pipeline(w.train(10), sh("note", "echo same")))
	w.ends(r, Rejected, "the very artifact that serves already", "export ok", "train ok", "gate rejected")
	if w.model() != third || w.release(third.Champion).State != "champion" {
		t.Error("training the champion again has changed it")
	}
	w.serves(third.Champion)
}

// The same artifact as one that was refused before is judged anew, under its old name.
func TestSameArtifactAsARefusedOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.champion()
	w.ends(w.run(pipeline(w.train(5))), Rejected, "worse", "export ok", "train ok", "gate rejected")
	w.promote = PromoteConfig{Gate: GateNotWorse, Margin: 50, CategoryFloor: 100, VerifyWithin: unit.Duration(10 * time.Second)}
	r := w.run(pipeline(w.train(5)))
	w.ends(r, Promoted, "not worse", goodSteps...)
	m := w.model()
	if rel := w.release(m.Champion); rel.State != "champion" || rel.Run != r.ID || rel.Path != filepath.Join(w.dir, "releases", r.ID) {
		t.Errorf("release %+v", rel)
	}
	// And back to the first artifact: it is the previous release and becomes the champion again.
	r = w.run(pipeline(w.train(7)))
	w.ends(r, Promoted, "not worse", goodSteps...)
	if m = w.model(); m.Champion != first {
		t.Errorf("champion %s, want %s", Short(m.Champion), Short(first))
	}
	w.serves(first)
}

func TestRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	champion := w.champion()
	undone := filepath.Join(w.dir, "undone")
	quiesce := sh("quiesce", "true")
	quiesce.Undo = []string{"echo again >>" + undone}
	steps := append([]StepConfig{quiesce}, pipeline(w.train(3))...)
	r := w.run(steps)
	w.ends(r, Rejected, `category "category 0" would be lost: recall 70 % to 30 % of 20 items, F1 82 to 46, more than the 5 points allowed; candidate 30.0 %, champion 70.0 %`, "quiesce ok", "export ok", "train ok", "gate rejected", "undo quiesce ok")
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

// A deploy that serves the old model is found out and taken back, the release before the commands.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	champion := w.champion()
	if r := w.run(pipeline(w.train(7))); r.Outcome != string(Rejected) {
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
	w.ends(r, RolledBack, "the service still answers as the former release on all 18 of 40 probed items where the two differ",
		"export ok", "train ok", "gate ok", "release ok", "restart ok", "verify not_proved", "undo release ok", "undo restart ok", "prove ok")
	w.serves(champion)
	if want, got := fmt.Sprintf("restart on releases/%s\nundo restart on %s as 1\n", r.ID, before), readText(t, log); got != want {
		t.Errorf("the commands ran so:\n%swant:\n%s", got, want)
	}
	events := w.events(r.ID)
	if i := len(events) - 2; !slices.Equal(events[i:], []string{"model.rolled_back", "run.finished"}) || slices.Contains(events, "model.deployed") {
		t.Errorf("events %v", events)
	}
	sum, err := ReadSummary(r.Result)
	if err != nil || w.release(sum.Release).State != "rolled_back" || w.release(champion).State != "champion" || sum.Serving != champion {
		t.Errorf("%+v, %v", sum, err)
	}
	if m := w.model(); m.Champion != champion || m.Hold != "" {
		t.Errorf("model %+v", m)
	}
}

// Before the first release there is nothing to roll back to: the run has failed, and nothing serves.
func TestFirstReleaseNotProved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.promote.VerifyWithin = unit.Duration(200 * time.Millisecond)
	w.promote.Smoke = []Smoke{{Text: map[string]string{"title": titled(0)}, Expect: "never"}}
	r := w.run(pipeline(w.train(7)))
	w.ends(r, Failed, `smoke case 1 is answered "category 0", expected "never"`,
		"export ok", "train ok", "gate ok", "release ok", "verify not_proved", "undo release ok", "prove ok")
	w.serves("")
	if m := w.model(); m.Champion != "" {
		t.Errorf("model %+v", m)
	}
}

// When even the former release cannot be proved, nothing is started until a person has looked.
func TestRollbackThatCannotBeProvedHolds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, breaks, want string }{
		{"its files are damaged", "echo junk >>$RETRAIND_MODEL_DIR/releases/run0001/model.json; false", "break: exit status 1: ; its output: "},
		{"the service is broken", "touch $RETRAIND_MODEL_DIR/mute", "the classifier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			champion := w.champion()
			w.promote.VerifyWithin = unit.Duration(200 * time.Millisecond)
			r := w.run(pipeline(w.train(10), sh("break", c.breaks)))
			if r.Outcome != string(Failed) || !strings.Contains(r.Reason, c.want) || !strings.Contains(r.Reason, "; and ") {
				t.Errorf("%s: %s", r.Outcome, r.Reason)
			}
			if m := w.model(); m.Champion != champion || !strings.Contains(m.Hold, `"by":"run `+r.ID+`"`) {
				t.Errorf("model %+v", m)
			}
			if rel := w.release(champion); rel.State != "champion" {
				t.Errorf("release %+v", rel)
			}
		})
	}
}

func TestFailedCommandNamesItsOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(pipeline(sh("train", "echo epoch 1; echo 'ValueError: no such column' >&2; exit 3")))
	out := runner.LogFile(AttemptDir(filepath.Join(w.dir, "runs", r.ID), "train", 1))
	w.ends(r, Failed, "train: exit status 3: ValueError: no such column; its output: "+out, "export ok", "train failed")
	if got := readText(t, out); got != "epoch 1\nValueError: no such column\n" {
		t.Errorf("output %q", got)
	}
	w.serves("")
}

func TestBadTrainings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, want string }{
		{"leaves nothing", "true", "is empty: the pipeline's training must write the artifact to $RETRAIND_RELEASE_DIR"},
		{"answers nothing", "echo x >$RETRAIND_RELEASE_DIR/model", "the training left no predictions.jsonl"},
		{"answers rubbish", "echo x >$RETRAIND_RELEASE_DIR/predictions.jsonl", "predictions.jsonl:1: invalid character 'x'"},
		{"answers a part", `echo '{"id":"1","text_hash":"h","answers":{"label":"a"}}' >$RETRAIND_RELEASE_DIR/predictions.jsonl`, "predictions.jsonl answers 1 of the 60 lines of test.jsonl: was it cut off?"},
		{"answers others", `for i in $(seq 60); do echo '{"id":"'$i'","text_hash":"h","answers":{"label":"a"}}'; done >$RETRAIND_RELEASE_DIR/predictions.jsonl`, "do the ids and texts in predictions.jsonl come from this run's test.jsonl?"},
		{"leaves a link", "ln -s /etc/hostname $RETRAIND_RELEASE_DIR/model", "no links"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ends(w.run(pipeline(sh("train", c.script))), Failed, c.want, "export ok", "train ok", "gate failed")
		})
	}
}

// What was gated is what is released: a change in between is noticed.
func TestArtifactChangedAfterTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	champion := w.champion()
	meddle := sh("meddle", "echo more >>$RETRAIND_RELEASE_DIR/model.json")
	r := w.run([]StepConfig{{Do: DoExport}, w.train(10), {Do: DoGate}, meddle, {Do: DoRelease}, {Do: DoVerify}})
	if r.Outcome != string(RolledBack) || !strings.Contains(r.Reason, "it was changed after it was sealed") {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	w.serves(champion)
}

func TestBrokenExportFailsBeforeTraining(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.champion()
	whole := w.source.list
	w.source.list = whole[:200]
	w.ends(w.run(pipeline(w.train(10))), Failed, "the export has 140 training items, the champion's had 200", "export failed")
	w.source.list, w.source.err = whole, errors.New("connection lost")
	w.ends(w.run(pipeline(w.train(10))), Failed, "export: connection lost", "export failed")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := sh("train", "sleep 1000")
	long.Timeout = unit.Duration(300 * time.Millisecond)
	w.ends(w.run(pipeline(long)), Failed, "train: not done after its timeout of 300ms", "export ok", "train timeout")

	verify := pipeline(w.train(7))
	verify[4].Timeout = unit.Duration(300 * time.Millisecond)
	w.promote.Smoke = []Smoke{{Text: map[string]string{"title": titled(0)}, Expect: "never"}}
	w.ends(w.run(verify), Failed, "not done after its timeout of 300ms", "export ok", "train ok", "gate ok", "release ok", "verify timeout", "undo release ok", "prove ok")
}

func TestRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	flaky := sh("train", "echo attempt >>$RETRAIND_MODEL_DIR/tries; test $(wc -l <$RETRAIND_MODEL_DIR/tries) -ge 3 && exec "+w.self+" fake-train 7")
	flaky.Retries = 2
	w.ends(w.run(pipeline(flaky)), Promoted, "first release", "export ok", "train failed", "train failed", "train ok", "gate ok", "release ok", "verify ok")
	never := sh("train", "exit 1")
	never.Retries = 1
	w.ends(w.run(pipeline(never)), Failed, "exit status 1", "export ok", "train failed", "train failed")
	oom := sh("train", "echo CUDA out of memory; exit 1") // tried again once, whatever retries says
	w.ends(w.run(pipeline(oom)), Failed, "out of memory", "export ok", "train gpu_oom", "train gpu_oom")
}

// killSupervisor loses a command's supervisor, as a crash of the machine would.
func killSupervisor(t *testing.T, dir string) {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(readText(t, filepath.Join(dir, "claimed")), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	champion := w.champion()

	// Of a command that must not run twice: the run goes back.
	restart := sh("restart", "touch $RETRAIND_MODEL_DIR/restarting; sleep 1000")
	restart.Undo = []string{"touch $RETRAIND_MODEL_DIR/undone"}
	p := w.submit(pipeline(w.train(10), restart))
	eventually(t, "the restart", func() bool { return exists(filepath.Join(w.dir, "restarting")) })
	killSupervisor(t, AttemptDir(p.RunDir, "restart", 1))
	w.ends(w.await(p), RolledBack, "restart: its supervisor ended without a record",
		"export ok", "train ok", "gate ok", "release ok", "restart unknown", "undo release ok", "undo restart ok", "prove ok")
	w.serves(champion)
	if !exists(filepath.Join(w.dir, "undone")) {
		t.Error("the command was not taken back")
	}

	// Of one that may: it runs again, in a directory of its own.
	train := sh("train", "if mkdir $RETRAIND_MODEL_DIR/once; then sleep 1000; fi; exec "+w.self+" fake-train 10")
	train.Kind = KindPure
	p = w.submit(pipeline(train))
	eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "once")) })
	killSupervisor(t, AttemptDir(p.RunDir, "train", 1))
	w.ends(w.await(p), Promoted, "not worse", "export ok", "train unknown", "train ok", "gate ok", "release ok", "verify ok")
}

func (w *world) cancel(p Plan) {
	w.t.Helper()
	w.update(func(tx *store.Tx) error { return tx.CancelRun(p.Run, "anna") })
}

func TestCancelDuringACommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	train := sh("train", "echo $$ >$RETRAIND_MODEL_DIR/pid; sleep 1000")
	train.Undo = []string{"kill -0 $(cat $RETRAIND_MODEL_DIR/pid) 2>/dev/null && echo alive >$RETRAIND_MODEL_DIR/undo || echo gone >$RETRAIND_MODEL_DIR/undo"}
	p := w.submit(pipeline(train))
	pid := filepath.Join(w.dir, "pid")
	eventually(t, "the training", func() bool { return exists(pid) })
	w.cancel(p)
	r := w.await(p)
	w.ends(r, Cancelled, "cancelled by anna", "export ok", "train cancelled", "undo train ok")
	if got := readText(t, filepath.Join(w.dir, "undo")); got != "gone\n" {
		t.Errorf("when it was taken back the command was %s", got)
	}
	if events := w.events(r.ID); events[len(events)-1] != "run.finished" {
		t.Errorf("events %v", events)
	}
}

// Cancelled while no daemon was there: the command that still runs is ended before anything is taken back.
func TestCancelWhileTheDaemonIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	train := sh("train", "echo $$ >$RETRAIND_MODEL_DIR/pid; sleep 1000")
	train.Undo = []string{"kill -0 $(cat $RETRAIND_MODEL_DIR/pid) 2>/dev/null && echo alive >$RETRAIND_MODEL_DIR/undo || echo gone >$RETRAIND_MODEL_DIR/undo"}
	p := w.submit(pipeline(train))
	eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "pid")) })
	w.stop()
	w.cancel(p)
	w.start()
	w.ends(w.await(p), Cancelled, "cancelled by anna", "export ok", "train cancelled", "undo train ok")
	if got := readText(t, filepath.Join(w.dir, "undo")); got != "gone\n" {
		t.Errorf("when it was taken back the command was %s", got)
	}
}

func TestCancelBeforeItsTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.submit(pipeline(sh("train", "while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+w.self+" fake-train 7")))
	w.cancel(first)
	w.ends(w.await(first), Cancelled, "cancelled by anna", w.steps(first.Run)...)
	w.serves("")
}

// A deployment that is cancelled while it is proved goes back.
func TestCancelDuringTheProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	champion := w.champion()
	w.promote.Smoke = []Smoke{{Text: map[string]string{"title": titled(0)}, Expect: "never"}} // it would try for ten seconds
	p := w.submit(pipeline(w.train(10)))
	eventually(t, "the proof", func() bool { return slices.Contains(w.steps(p.Run), "verify running") })
	w.cancel(p)
	w.ends(w.await(p), Cancelled, "cancelled by anna", "export ok", "train ok", "gate ok", "release ok", "verify cancelled", "undo release ok", "prove ok")
	w.serves(champion)
}

// fakeGPU is a GPU of function fields.
type fakeGPU struct {
	acquire func(ctx context.Context) (map[string]string, func(), error)
}

func (g fakeGPU) Acquire(ctx context.Context, _ string) (map[string]string, func(), error) {
	return g.acquire(ctx)
}

func TestGPU(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	train := sh("train", "echo $CUDA_VISIBLE_DEVICES >$RETRAIND_MODEL_DIR/devices; exec "+w.self+" fake-train 7")
	train.GPU = true
	w.ends(w.run(pipeline(train)), Blocked, "the step needs a GPU and none is configured: set gpu: for the model", "export ok", "train blocked")

	w.executor.GPU = fakeGPU{func(context.Context) (map[string]string, func(), error) {
		return nil, nil, &BlockedError{Reason: "GPU-1 is held by ollama (pid 7)"}
	}}
	r := w.run(pipeline(train))
	w.ends(r, Blocked, "GPU-1 is held by ollama (pid 7)", "export ok", "train blocked")
	if exists(filepath.Join(w.dir, "devices")) {
		t.Error("the command ran all the same")
	}

	w.executor.GPU = fakeGPU{func(context.Context) (map[string]string, func(), error) {
		return nil, nil, errors.New("driver is broken")
	}}
	w.ends(w.run(pipeline(train)), Failed, "driver is broken", "export ok", "train failed")

	waiting := make(chan struct{}, 1)
	w.executor.GPU = fakeGPU{func(ctx context.Context) (map[string]string, func(), error) {
		waiting <- struct{}{}
		<-ctx.Done()
		return nil, nil, context.Cause(ctx)
	}}
	p := w.submit(pipeline(train))
	<-waiting
	w.cancel(p)
	w.ends(w.await(p), Cancelled, "cancelled by anna", "export ok", "train cancelled")

	short := train
	short.Timeout = unit.Duration(50 * time.Millisecond)
	p = w.submit(pipeline(short))
	<-waiting
	w.ends(w.await(p), Failed, "not done after its timeout of 50ms", "export ok", "train timeout")

	released := 0
	w.executor.GPU = fakeGPU{func(context.Context) (map[string]string, func(), error) {
		return map[string]string{"CUDA_VISIBLE_DEVICES": "GPU-1"}, func() { released++ }, nil
	}}
	w.ends(w.run(pipeline(train)), Promoted, "first release", goodSteps...)
	if got := readText(t, filepath.Join(w.dir, "devices")); got != "GPU-1\n" || released != 1 {
		t.Errorf("devices %q, let go %d times", got, released)
	}
}

func TestEnvironmentOfAStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	probe := sh("probe", "env; pwd; exit 1")
	probe.Env = map[string]string{"LANG": "de_DE", "EXTRA": "a b"}
	r := w.run([]StepConfig{probe})
	dir := AttemptDir(filepath.Join(w.dir, "runs", r.ID), "probe", 1)
	out := readText(t, runner.LogFile(dir))
	for _, want := range []string{
		"RETRAIND_RUN=" + r.ID, "RETRAIND_STEP=probe", "RETRAIND_MODEL=m", "RETRAIND_PIPELINE=default", "RETRAIND_TARGET=label", "RETRAIND_CHAMPION=",
		"RETRAIND_DATA_DIR=" + filepath.Join(w.dir, "runs", r.ID, "data"), "RETRAIND_RELEASE_DIR=" + filepath.Join(w.dir, "releases", r.ID), "RETRAIND_MODEL_DIR=" + w.dir,
		"RETRAIND_CURRENT=" + CurrentLink(w.dir), "RETRAIND_IDEMPOTENCY_KEY=" + r.ID + "/probe", "RETRAIND_ORIGIN=retraind:" + r.ID, "RETRAIND_PROGRESS=" + runner.ProgressFile(dir),
		"LANG=de_DE", "EXTRA=a b", filepath.Join(dir, "work"),
	} {
		if !slices.Contains(strings.Split(out, "\n"), want) {
			t.Errorf("%q is not in the environment:\n%s", want, out)
		}
	}
}

// A daemon that restarts in the middle of a command finds it again; the command runs once.
func TestRestartInTheMiddleOfACommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.submit(pipeline(sh("train", "echo $$ >>$RETRAIND_MODEL_DIR/starts; while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+w.self+" fake-train 7")))
	starts := filepath.Join(w.dir, "starts")
	eventually(t, "the training", func() bool { return exists(starts) })
	for range 2 {
		w.stop()
		if r := w.look(p); r.State != "running" || r.Outcome != "" {
			t.Fatalf("after a stop the run is %s, %s", r.State, r.Outcome)
		}
		w.start()
	}
	writeText(t, filepath.Join(w.dir, "go"), "")
	w.ends(w.await(p), Promoted, "first release", goodSteps...)
	if got := strings.Count(readText(t, starts), "\n"); got != 1 {
		t.Errorf("the training was started %d times", got)
	}
	want := []string{"run.step", "run.step", "run.step", "run.step", "run.step", "model.deployed", "run.finished"}
	if diff := cmp.Diff(want, w.events(p.Run)); diff != "" {
		t.Error(diff)
	}
}

// A command that ended while no daemon was there is not run again.
func TestCommandEndsWhileTheDaemonIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.submit(pipeline(sh("train", "echo $$ >>$RETRAIND_MODEL_DIR/starts; while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+w.self+" fake-train 7")))
	eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "starts")) })
	w.stop()
	writeText(t, filepath.Join(w.dir, "go"), "")
	eventually(t, "its record", func() bool {
		_, ok, err := runner.ReadExit(AttemptDir(p.RunDir, "train", 1))
		return ok && err == nil
	})
	w.start()
	w.ends(w.await(p), Promoted, "first release", goodSteps...)
}

// Submitting a run again, as the loop does after a restart, starts no second one; a run of the model that is still open
// keeps the next waiting.
func TestSubmitTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := sh("train", "echo x >>$RETRAIND_MODEL_DIR/starts; while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+w.self+" fake-train 7")
	p := w.submit(pipeline(hold))
	for range 3 {
		if err := w.engine.Submit(p); err != nil {
			t.Fatal(err)
		}
	}
	w.runs++
	next := w.plan(pipeline(w.train(10)))
	w.add(next)
	eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "starts")) })
	if err := w.engine.Submit(next); err == nil || !strings.Contains(err.Error(), "another run of model m is still open") {
		t.Errorf("two runs of one model at once: %v", err)
	}
	writeText(t, filepath.Join(w.dir, "go"), "")
	w.ends(w.await(p), Promoted, "first release", goodSteps...)
	if err := w.engine.Submit(p); err != nil {
		t.Fatal(err)
	}
	next.Champion = w.model().Champion
	if err := w.engine.Submit(next); err != nil { // at once: the first is just leaving the queue
		t.Fatal(err)
	}
	w.ends(w.await(next), Promoted, "not worse", goodSteps...)
	if got := strings.Count(readText(t, filepath.Join(w.dir, "starts")), "\n"); got != 1 {
		t.Errorf("the first was started %d times", got)
	}
}

// A crash between an action's record in the store and the engine's own makes the action be entered again: it is told of
// once.
func TestActionsMayBeEnteredTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs++
	p := w.plan(pipeline(w.train(7)))
	w.update(func(tx *store.Tx) error {
		_, err := tx.AddRun(store.Run{ID: p.Run, Model: "m", State: "queued", Plan: "{}", Created: p.Created})
		return err
	})
	var done []Outcome
	for {
		a, more := Next(p, done)
		if !more {
			break
		}
		var outs [2]Outcome
		for i := range outs {
			out, err := w.executor.Execute(t.Context(), p, a, done)
			if err != nil {
				t.Fatal(err)
			}
			outs[i] = out
		}
		if outs[0].Class != outs[1].Class || outs[0].Detail != outs[1].Detail {
			t.Errorf("%s: first %+v, then %+v", title(p, a), outs[0], outs[1])
		}
		done = append(done, outs[1])
	}
	if r := w.look(p); r.Outcome != string(Promoted) {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	want := []string{"run.step", "run.step", "run.step", "run.step", "run.step", "model.deployed", "run.finished"}
	if diff := cmp.Diff(want, w.events(p.Run)); diff != "" {
		t.Error(diff)
	}
	w.serves(w.model().Champion)
}

func TestOldFilesAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.promote.VerifyWithin = unit.Duration(5 * time.Second)
	champion := w.champion() // run0001
	kept := func(sub string) []string { return entries(t, filepath.Join(w.dir, sub)) }
	for i := range 3 { // refused ones: run0002 … run0004
		w.ends(w.run(pipeline(w.train(i+2))), Rejected, "would be lost", "export ok", "train ok", "gate rejected")
	}
	for range 4 { // these leave half an artifact: run0005 … run0008
		w.run(pipeline(sh("train", "echo half >$RETRAIND_RELEASE_DIR/half; exit 1")))
	}
	if got := kept("releases"); len(got) != 8 {
		t.Errorf("releases %v", got)
	}
	for i := range 3 { // run0009 … run0011: the half artifacts of run0005 and run0006 go, and the two oldest refused ones
		w.run(pipeline(sh("train", fmt.Sprintf("sed 's/wrong/%d/' $RETRAIND_CURRENT/predictions.jsonl >$RETRAIND_RELEASE_DIR/predictions.jsonl; sed -i '/\"label\":\"%d/!s/category ./no/' $RETRAIND_RELEASE_DIR/predictions.jsonl; echo %d >$RETRAIND_RELEASE_DIR/model.json", i, i, i))))
	}
	w.serves(champion)
	want := []string{"run0001", "run0003", "run0004", "run0007", "run0008", "run0009", "run0010", "run0011"}
	eventually(t, "the old releases gone", func() bool { return slices.Equal(kept("releases"), want) }) // a moment after the run has ended
	if n := len(kept("runs")); n != 11 {
		t.Errorf("%d directories of runs", n)
	}
	refused := ""
	w.view(func(tx *store.Tx) error {
		all, err := tx.Releases("m", 100)
		for _, r := range all {
			if r.Run == "run0002" {
				refused = r.Digest
			}
		}
		return err
	})
	n := 0
	w.view(func(tx *store.Tx) error { return tx.Predictions("m", refused, func(store.Prediction) { n++ }) })
	if refused == "" || n != 0 {
		t.Errorf("%d answers of the removed release %q are still cached", n, refused)
	}
}
