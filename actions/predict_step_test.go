package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/policy"
)

// predicting returns the pipeline with a step predict.
func predicting(train StepType, ask *PredictStep, extra ...StepType) []StepConfig {
	ask.Do = DoPredict
	steps := []StepConfig{Do(DoExport), {train}, {ask}}
	for _, s := range extra {
		steps = append(steps, StepConfig{s})
	}
	return append(steps, Do(DoGate), Do(DoRelease), Do(DoVerify))
}

// trainOnly returns a training that leaves no predictions beside its model.
func (w *world) trainOnly(tenths string) *CommandStep {
	c := sh("train", w.self+" fake-train "+tenths+" && mv $RETRAIND_RELEASE_DIR/predictions.jsonl $RETRAIND_WORK_DIR")
	c.Kind = KindPure
	return c
}

func TestPredictByACommand(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	copies := func() *PredictStep {
		return &PredictStep{Exec: []string{"cp", "$RETRAIND_WORK_DIR/predictions.jsonl", "$RETRAIND_PREDICTIONS"}}
	}
	r := w.run(predicting(w.trainOnly("7"), copies()))
	w.ends(r, policy.OutcomePromoted, "first release: 70.0%", "export ok", "train ok", "predict ok", "gate ok", "release ok", "verify ok")
	w.serves(w.model().Champion)
	if exists(filepath.Join(CurrentLink(w.dir), predictionsFile)) {
		t.Error("the answers are part of the release")
	}

	// The release that was asked must be the one that is deployed.
	r = w.run(predicting(w.trainOnly("10"), copies(), sh("meddle", "echo x >>$RETRAIND_RELEASE_DIR/model.json")))
	w.ends(r, policy.OutcomeFailed, "the files were changed after the manifest was written", "export ok", "train ok", "predict ok", "meddle ok", "gate failed")

	r = w.run(predicting(w.trainOnly("10"), &PredictStep{Exec: []string{"true"}}))
	w.ends(r, policy.OutcomeFailed, "wrote no answers to $RETRAIND_PREDICTIONS", "export ok", "train ok", "predict failed")

	half := &PredictStep{Exec: []string{"sh", "-c", "head -n 3 $RETRAIND_WORK_DIR/predictions.jsonl >$RETRAIND_PREDICTIONS"}}
	r = w.run(predicting(w.trainOnly("10"), half))
	w.ends(r, policy.OutcomeFailed, "answers 3 of the 60 lines", "export ok", "train ok", "predict failed")
}

func TestPredictByAURL(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	var release string
	candidate := service{
		health: func() (int, any) { return 200, map[string]string{"status": "ok"} },
		answer: func(title string) (int, any) {
			model, err := readModel(release)
			if err != nil {
				return 503, err.Error()
			}
			return 200, map[string]string{"label": model[title]}
		},
	}
	url := candidate.start(t).Classify
	release = filepath.Join(w.dir, "releases", "run0001", "model.json")
	r := w.run(predicting(w.trainOnly("7"), &PredictStep{URL: url}))
	w.ends(r, policy.OutcomePromoted, "first release: 70.0%", "export ok", "train ok", "predict ok", "gate ok", "release ok", "verify ok")
	lines := strings.Count(readText(t, filepath.Join(w.dir, "runs", "run0001", predictionsFile)), "\n")
	if lines != 60 {
		t.Errorf("%d items were asked about", lines)
	}

	release = filepath.Join(w.dir, "nothing")
	r = w.run(predicting(w.trainOnly("10"), &PredictStep{URL: url}))
	w.ends(r, policy.OutcomeFailed, "ask the candidate", "export ok", "train ok", "predict failed")
	if _, err := os.Stat(filepath.Join(w.dir, "runs", "run0002", predictionsFile)); err == nil {
		t.Error("answers were written")
	}
}

// Validation does not show the password of a URL.
func TestPredictHidesThePassword(t *testing.T) {
	t.Parallel()
	steps := []StepConfig{{&PredictStep{URL: "ftp://bob:geheim@host/classify"}}}
	got := said(ValidatePipeline(map[string][]StepConfig{"default": steps}, "default"))
	if strings.Contains(got, "geheim") || !strings.Contains(got, `"ftp://bob:xxxxx@host/classify" is not a URL`) {
		t.Error(got)
	}
}
