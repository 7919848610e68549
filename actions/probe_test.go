package actions

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// If a step's supervisor was lost, its probe decides: either the step had its effect, or it did not, or that is
// unknown.
func TestProbe(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	probed := func(name, probe string) *CommandStep {
		c := sh("restart", "if mkdir $RETRAIND_MODEL_DIR/"+name+"; then sleep 1000; fi")
		c.Kind, c.Probe = "", []string{probe}
		c.Undo = []string{"touch $RETRAIND_MODEL_DIR/undone"}
		return c
	}
	lost := func(name, probe string) store.Run {
		p := w.submit(pipeline(w.train(7+w.runs), probed(name, probe)))
		waittest.Eventually(t, "the restart", func() bool { return exists(filepath.Join(w.dir, name)) })
		killSupervisor(t, AttemptDir(p.RunDir, "restart", 1))
		return w.await(p)
	}
	w.champion()
	w.ends(lost("there", `test -d $RETRAIND_MODEL_DIR/there && test "$RETRAIND_STEP" = restart`), policy.OutcomePromoted, "",
		"export ok", "train ok", "gate ok", "release ok", "restart ok", "verify ok")
	w.ends(lost("absent", "exit 1"), policy.OutcomePromoted, "",
		"export ok", "train ok", "gate ok", "release ok", "restart unknown", "restart ok", "verify ok")
	if exists(filepath.Join(w.dir, "undone")) {
		t.Error("a successful step was undone")
	}
	w.ends(lost("unasked", "kill -9 $$"), policy.OutcomeRolledBack, "the probe failed: ended by signal killed",
		"export ok", "train ok", "gate ok", "release ok", "restart unknown", "undo release ok", "undo restart ok", "prove ok")
}

func TestNextAfterProbe(t *testing.T) {
	t.Parallel()
	p := testPlan()
	p.Steps[5].Kind = KindConverge
	done := []Outcome{}
	for i := range 5 {
		done = append(done, Outcome{Kind: ActDo, Step: i, Attempt: 1, Class: store.StepOK})
	}
	unknown := Outcome{Kind: ActDo, Step: 5, Attempt: 1, Class: store.StepUnknown}
	if a, _ := Next(p, append(done, unknown)); a.Kind != ActDo || a.Step != 5 || a.Attempt != 2 {
		t.Errorf("the effect is not there: %+v", a)
	}
	unknown.Undecided = true
	if a, _ := Next(p, append(done, unknown)); a.Kind != ActUndo || a.Step != 4 {
		t.Errorf("not undecided: %+v", a)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind  StepKind
		probe []string
		is    StepKind
		wrong []string
	}{
		{"", nil, KindOnce, nil},
		{"", []string{"x"}, KindConverge, nil},
		{KindConverge, []string{"x"}, KindConverge, nil},
		{KindConverge, nil, KindConverge, []string{"there is no way to check whether the effect of this step is there"}},
		{KindPure, []string{"x"}, KindPure, []string{"a step of kind pure is never probed"}},
		{"twice", nil, "twice", []string{`unknown kind "twice"`}},
	} {
		s := argv("restart", "x")
		s.Kind, s.Probe = c.kind, c.probe
		var wrong []string
		for _, p := range ValidatePipeline(map[string][]StepConfig{"default": pipeline(s)}, "default") {
			wrong = append(wrong, p.Message)
		}
		if diff := cmp.Diff(c.wrong, wrong); diff != "" || s.kind() != c.is {
			t.Errorf("%+v is %s: %s", c, s.kind(), diff)
		}
	}
}
