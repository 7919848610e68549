package actions

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
)

func TestFill(t *testing.T) {
	t.Parallel()
	got := fill([]string{
		"$RETRAIND_RUN", "a/$RETRAIND_WORK_DIR/merged", "$RETRAIND_UNDO", "$HOME $$ $1 ${RETRAIND_RUN}", "$$RETRAIND_RUN",
		"$$$RETRAIND_RUN", "$RETRAIND_RUN$RETRAIND_RUN", "50$", "*",
	}, map[string]string{"RETRAIND_RUN": "r $RETRAIND_WORK_DIR", "RETRAIND_WORK_DIR": "/w"})
	want := []string{
		"r $RETRAIND_WORK_DIR", "a//w/merged", "", "$HOME $$ $1 ${RETRAIND_RUN}", "$RETRAIND_RUN", "$$RETRAIND_RUN",
		"r $RETRAIND_WORK_DIRr $RETRAIND_WORK_DIR", "50$", "*",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The arguments of a command may use exactly the variables of its environment.
func TestVariablesAreThoseOfTheEnvironment(t *testing.T) {
	t.Parallel()
	x := &Executor{}
	p := Plan{RunDir: t.TempDir(), Serving: serving.Config{}.WithDefaults(), Steps: []Step{{Name: "s"}}}
	spec, err := x.spec(p, Action{Kind: ActUndo, Attempt: 1}, p.Steps[0], []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range spec.Env {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "RETRAIND_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, variables); diff != "" {
		t.Errorf("-environment +variables:\n%s", diff)
	}
}

// The steps of a run share a directory, which is deleted at the end of the run. A command runs in dir, and variables in
// its arguments are replaced.
func TestWorkDirAndArguments(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	made := argv("make", "touch", "$RETRAIND_WORK_DIR/merged", "$$RETRAIND_RUN", "$HOME")
	made.Dir = t.TempDir()
	look := argv("look", "test", "-f", "$RETRAIND_WORK_DIR/merged")
	unexpanded := sh("shell", `test "$RETRAIND_RUN" = "$(basename $(dirname "$RETRAIND_DATA_DIR"))" && test '$RETRAIND_RUN' != "$RETRAIND_RUN"`)
	r := w.run(append([]StepConfig{{made}, {look}, {unexpanded}}, pipeline(w.train(7))...))
	w.ends(r, policy.OutcomePromoted, "first release", append([]string{"make ok", "look ok", "shell ok"}, goodSteps...)...)
	for _, name := range []string{"$RETRAIND_RUN", "$HOME"} {
		if !exists(filepath.Join(made.Dir, name)) {
			t.Errorf("%s is not in the command's directory", name)
		}
	}
	waittest.Eventually(t, "the end of the run's working directory", func() bool {
		return !exists(filepath.Join(w.dir, "runs", r.ID, "work"))
	})
}

// No variable of a step hides the marks by which the processes of an attempt are found.
func TestMarksOfAnAttempt(t *testing.T) {
	t.Parallel()
	p, dir := Plan{Run: "r", RunDir: t.TempDir()}, t.TempDir()
	step := Step{Name: "predict", Dir: dir, Env: map[string]string{"RETRAIND_ATTEMPT": "mine", "RETRAIND_PROGRESS": "mine"}}
	spec, err := (&Executor{}).spec(p, Action{Kind: ActDo, Attempt: 1}, step, []string{"true"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"RETRAIND_ATTEMPT=r/predict/a1", "RETRAIND_PROGRESS=" + runner.ProgressFile(spec.Dir)} {
		if !slices.Contains(spec.Env, want) {
			t.Errorf("%s is not in %q", want, spec.Env)
		}
	}
}
