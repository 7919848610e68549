package actions

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// A step that saves checkpoints, and has work for more than one night, is stopped at the end of the quiet hours. The
// next run resumes it.
func TestCheckpointingStepOverTwoNights(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	relabel := sh("relabel", `echo done >>$RETRAIND_MODEL_DIR/kept; [ $(wc -l <$RETRAIND_MODEL_DIR/kept) -ge 2 ] || exec sleep 1000`)
	relabel.Checkpoints = true
	steps := pipeline(sh("train", "exec "+w.self+" fake-train 7"))
	steps = append(steps[:1:1], append([]StepConfig{{relabel}}, steps[1:]...)...)
	night := func(length, rest time.Duration) Plan {
		t.Helper()
		w.runs++
		p := w.plan(steps)
		p.Until, p.Steps[1].Rest = time.Now().Add(length), rest
		w.add(p)
		w.handOver(p)
		return p
	}
	kept := filepath.Join(w.dir, "kept")

	w.ends(w.await(night(-time.Second, 0)), policy.OutcomeBlocked,
		"relabel is not finished at the end of the quiet hours; it continues in the next quiet hours", "export ok", "relabel blocked")
	if exists(kept) {
		t.Error("it began after the quiet hours")
	}

	first := night(2*time.Second, time.Hour)
	for length := 4 * time.Second; w.await(first).State == store.RunEnded && !exists(kept); length *= 2 {
		first = night(length, time.Hour) // on a slow machine the step did not begin in time
	}
	w.ends(w.look(first), policy.OutcomeBlocked,
		"relabel is not finished at the end of the quiet hours; it continues in the next quiet hours", "export ok", "relabel blocked")
	if got := readText(t, kept); got != "done\n" {
		t.Errorf("after the first night: %q", got)
	}
	if why := why(t, w.look(first)); why != policy.ReasonWindowClosed {
		t.Errorf("why %q", why)
	}

	second := night(time.Hour, 2*time.Hour)
	r := w.await(second)
	if why := why(t, r); r.Outcome != string(policy.OutcomeBlocked) || why != policy.ReasonWindowTooShort ||
		!strings.HasPrefix(r.Reason, "relabel is done, but the steps after it are expected to take 2h0m0s") {
		t.Errorf("%s, %s: %s", r.Outcome, why, r.Reason)
	}

	w.ends(w.await(night(time.Hour, time.Minute)), policy.OutcomePromoted, "first release",
		append([]string{"export ok", "relabel ok"}, goodSteps[1:]...)...)
}

// The end of the quiet hours stops a command, never its undo.
func TestUndoAfterTheQuietHours(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	relabel := sh("relabel", "true")
	relabel.Checkpoints, relabel.Undo = true, []string{"sleep 0.2"}
	p := w.idle()
	p.Steps, p.Until = Resolve([]StepConfig{{relabel}}, nil, w.self), time.Now().Add(-time.Hour)
	if out, err := w.executor.perform(t.Context(), p, Action{Kind: ActUndo, Attempt: 1}, nil); err != nil ||
		out.Class != store.StepOK {
		t.Errorf("%+v, %v", out, err)
	}
}

func why(t *testing.T, r store.Run) policy.Reason {
	t.Helper()
	sum, err := ReadSummary(r.Result)
	if err != nil {
		t.Fatal(err)
	}
	return sum.Result.Why
}
