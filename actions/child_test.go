package actions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/actions/ollamatags"
	"github.com/retraind/retraind/actions/predict"
	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/actions/weights"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/store"
)

// testJobs are jobs that the test binary runs as a child of a supervisor.
var testJobs = map[string]job.Work{
	JobPredict:      predict.Work,
	"check":         weights.Work,
	JobLabel:        teacher.Work,
	JobOllamaStage:  ollamatags.StageWork,
	JobOllamaSwitch: ollamatags.SwitchWork,
	"test": func(ctx context.Context, j job.Job) (job.Result, error) {
		var in testJob
		if err := j.Decode(&in); err != nil {
			return job.Result{}, err
		}
		if err := os.WriteFile(filepath.Join(j.Dir, "entered"), nil, 0o600); err != nil {
			return job.Result{}, err
		}
		switch in.Do {
		case "wait":
			<-ctx.Done()
		case "fail":
			return job.Result{}, errors.New("the engine does not answer")
		case "vanish":
			os.Exit(0)
		case "full":
			return job.Result{}, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
		}
		return job.Result{Class: store.StepOK, Detail: "done", Data: job.Encode(in.Do)}, ctx.Err()
	},
}

type testJob struct {
	Do string `json:"do"`
}

// childOf runs one attempt of a step as a child, in a run that was not submitted.
func (w *world) childOf(p Plan, a Action, do string) (Outcome, string) {
	w.t.Helper()
	step := Step{Name: "label", Timeout: time.Minute, Kind: KindPure}
	out, data, err := w.executor.child(w.t.Context(), p, a, step, "test", func(string) (any, error) { return testJob{do}, nil })
	if err != nil {
		w.t.Error(err)
	}
	return out, string(data)
}

func (w *world) idle() Plan {
	w.runs++
	p := w.plan(nil)
	w.add(p)
	return p
}

func TestChild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.idle()
	for attempt, c := range []struct {
		do, data, said string
		class          store.StepState
	}{
		{"x", `"x"`, "done", store.StepOK},
		{"fail", "", "label: the engine does not answer; its output: ", store.StepFailed},
		{"full", "", "no space left on device", store.StepDiskFull},
		{"vanish", "", "it ended without a result", store.StepFailed},
	} {
		out, data := w.childOf(p, Action{Kind: ActDo, Attempt: attempt + 1}, c.do)
		if out.Class != c.class || !strings.Contains(out.Detail, c.said) || data != c.data {
			t.Errorf("%s: %+v, data %s", c.do, out, data)
		}
	}
	// A repeated call reads the attempt's result, and ignores the new input.
	if out, data := w.childOf(p, Action{Kind: ActDo, Attempt: 1}, "fail"); out.Class != store.StepOK || data != `"x"` {
		t.Errorf("repeated: %+v, data %s", out, data)
	}
	if out, _ := w.childOf(p, Action{Kind: ActUndo, Attempt: 1}, "fail"); out.Class != store.StepFailed {
		t.Errorf("taking back is an attempt of its own: %+v", out)
	}
}

func TestChildThatIsEnded(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	p := w.idle()
	begin := func(p Plan, attempt int) (string, chan Outcome) {
		ended := make(chan Outcome, 1)
		go func() {
			out, _ := w.childOf(p, Action{Kind: ActDo, Attempt: attempt}, "wait")
			ended <- out
		}()
		dir := AttemptDir(p.RunDir, "label", attempt)
		waittest.Eventually(t, "the child", func() bool { return exists(filepath.Join(dir, "entered")) })
		return dir, ended
	}

	dir, ended := begin(p, 1)
	killSupervisor(t, dir)
	if out := <-ended; out.Class != store.StepUnknown {
		t.Errorf("without its supervisor: %+v", out)
	}

	// The supervisor is lost, but the work is done.
	dir, ended = begin(p, 2)
	writeText(t, filepath.Join(dir, "result.json"), `{"class": "ok", "detail": "done"}`)
	killSupervisor(t, dir)
	if out := <-ended; out.Class != store.StepOK || out.Detail != "done" {
		t.Errorf("with a result: %+v", out)
	}

	_, ended = begin(p, 3)
	w.cancel(p)
	if out := <-ended; out.Class != store.StepCancelled {
		t.Errorf("cancelled: %+v", out)
	}
}
