package compose

import (
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/store"
)

// act performs or undoes an action, and returns the state of container c0 and the result.
func (p *place) act(action Action, back bool) (string, job.Result) {
	p.t.Helper()
	in := Act{
		Service: Service{Dir: p.dir, Name: "api", Within: p.in.Service.Within}, Action: action,
		Before: filepath.Join(filepath.Dir(p.in.Kept), "before-"+string(action)), Back: back,
	}
	result, _ := p.jobOn("act", in)
	c, _ := p.engine.Get("c0")
	return c.State, result
}

func TestActions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, c := range []struct {
		action Action
		back   bool
		want   string
	}{
		{Stop, true, "running"}, // the run has not begun the action: nothing to undo
		{Stop, false, "exited"},
		{Stop, false, "exited"}, // a repeated action
		{Stop, true, "running"},
		{Start, false, "running"}, // already running
		{Start, true, "running"},
		{Restart, false, "running"},
		{Restart, true, "running"},
	} {
		if state, r := p.act(c.action, c.back); r.Class != store.StepOK || state != c.want {
			t.Fatalf("%s, back %v: %s: %s; the container is %s", c.action, c.back, r.Class, r.Detail, state)
		}
	}
	if _, r := p.act(Up, false); r.Class != store.StepOK {
		t.Errorf("up: %s", r.Detail)
	}
	if _, there := p.engine.Get("c0"); there {
		t.Error("up left the container")
	}
	if err := p.client().Remove(t.Context(), "created1"); err != nil {
		t.Fatal(err)
	}
	if _, r := p.act(Restart, false); r.Class != store.StepFailed {
		t.Errorf("without a container: %+v", r)
	}
}

// A crash or a full disk leaves an empty record of the state before a step. The next attempt writes it again, so that the
// step can be undone.
func TestEmptyRecord(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	writeFile(t, filepath.Join(filepath.Dir(p.in.Kept), "before-stop"), "")
	if state, r := p.act(Stop, false); state != "exited" {
		t.Fatalf("stop: %s: %s; the container is %s", r.Class, r.Detail, state)
	}
	if state, r := p.act(Stop, true); state != "running" {
		t.Errorf("stop undone: %s: %s; the container is %s", r.Class, r.Detail, state)
	}
}
