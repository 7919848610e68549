//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// A short version of the tuner's scenario with compose version 2: the answers of a one-off container, a deployment, a
// candidate that exits at once, and the outages.
func TestTunerStoryV2(t *testing.T) {
	o := newTuner(t, composeV2(t))
	// Two features that only version 2 has: a service that only a profile enables, and a pull policy, which deployments
	// ignore.
	file := "tuner/" + service + "/docker-compose.yml"
	text := o.read(file)
	more := "    build: .\n    profiles: [models]\n    pull_policy: always\n"
	o.write(file, strings.Replace(text, "    build: .\n", more, 1))
	o.run()
	m := o.model("the adoption", func(m status.Model) bool {
		return m.Release != "" && m.Report != nil && m.Report.Scored > 0
	})
	adopted := m.Release
	id0, image0 := o.container()
	file0 := o.read("tuner/" + model)

	// The first run is promoted.
	o.sql("update items set priority = truth")
	run := o.retrain("default", 1, policy.OutcomePromoted, "not worse")
	t.Log(o.must("runs", "show", run.ID))
	o.model("the promotion", func(m status.Model) bool { return m.Active == nil && m.Release != adopted })
	id1, image1 := o.container()
	file1 := o.read("tuner/" + model)
	if id1 == id0 || image1 == image0 || file1 == file0 {
		t.Errorf("after the promotion the container %s, the image %s or the model file in the build context is still the former one",
			id1, image1)
	}
	kept := compose.Repository("classifier-api", "classifier-api") + ":" + compose.Tag(adopted)
	out, err := o.engine.docker("image", "inspect", "--format", "{{.Id}}", kept).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != image0 {
		t.Errorf("the image of the former release is not kept under its tag: %v: %s", err, out)
	}
	if answers := o.read("state/models/relevance/runs/" + run.ID + "/predictions.jsonl"); strings.Count(answers, "\n") < 300 {
		t.Errorf("predictions.jsonl has fewer than 300 answers:\n%s", answers)
	}
	if out, err := o.engine.docker("ps", "-a", "--format", "{{.Names}}").CombinedOutput(); err != nil ||
		strings.TrimSpace(string(out)) != "classifier-api" {
		t.Errorf("want only the container of the service: %v: %s", err, out)
	}

	// If the container exits at once, the deployment is rolled back to the previous image.
	o.sql("update items set priority = 'hoch' where content like '%haushalt%'")
	app := o.read("tuner/" + service + "/app.py")
	ends := "import os\nif os.path.exists('/state/broken'): raise SystemExit('no such model')\nprint("
	o.write("tuner/"+service+"/app.py", strings.Replace(app, "print(", ends, 1))
	o.retrain("broken", 2, policy.OutcomeRolledBack, "no such model")
	o.asBefore("failing health", image1, file1)
	o.write("tuner/"+service+"/app.py", app)
	o.write(file, text)
	o.outages(3)
}
