//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/policy"
)

// fill makes the file system full on which the engine stores the context of a build. The returned function ends it.
func (e *engine) fill() (end func()) {
	e.t.Helper()
	dir := filepath.Join(e.dir, "data", "tmp")
	do := func(args ...string) {
		e.t.Helper()
		if out, err := e.inside(args...).CombinedOutput(); err != nil {
			e.t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	do("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", dir)
	return func() { do("umount", dir) }
}

// fullDisk starts a retrain, which must be run number n, with a full disk of the engine during the build in step
// deploy. It does not affect the service, whose container is id, and the file that the deployment replaced is restored.
func (o *operator) fullDisk(n int, id, image, file string) {
	o.t.Helper()
	end := o.engine.fill()
	run := o.retrain("broken", n, policy.OutcomeRolledBack, "no space left on device")
	end()
	shown := o.must("runs", "show", run.ID)
	o.t.Log(shown)
	if now, _ := o.container(); now != id {
		o.t.Errorf("the build on a full disk replaced the container: it is %s, was %s", now, id)
	}
	o.asBefore("full disk", image, file)
	if !strings.Contains(shown, "disk full") || !strings.Contains(run.Reason, "free disk space") {
		o.t.Errorf("step deploy is not shown as disk full with a cure: %s", run.Reason)
	}
}
