//go:build e2e

package e2e

import (
	"strings"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// promotes starts a retrain, which must be run number n, and waits until it is promoted. The new container has another
// image and the build context another model file. The former image is kept under the tag of its release, the answers to
// the held-out items are stored outside the release, and the container that gave them is removed. promotes returns the
// new image and the new file.
func (o *operator) promotes(n int) (image, file string) {
	o.t.Helper()
	former := o.model("the former release", func(m status.Model) bool { return m.Release != "" }).Release
	container0, image0 := o.container()
	file0 := o.read("tuner/" + model)

	run := o.retrain("default", n, policy.OutcomePromoted, "not worse")
	o.t.Log(o.must("runs", "show", run.ID))
	m := o.model("the promotion", func(m status.Model) bool {
		return m.Active == nil && m.Release != former && m.Report != nil && m.Report.Scored > 0
	})
	o.t.Logf("promoted at %.1f%%", 100*m.Report.Accuracy)

	container, image := o.container()
	if container == container0 || image == image0 {
		o.t.Errorf("after the promotion the old container or image still serves: container %s of image %s", container, image)
	}
	if file = o.read("tuner/" + model); file == file0 {
		o.t.Error("after the promotion the build context still contains the model file of the former release")
	}
	kept := compose.Repository("classifier-api", "classifier-api") + ":" + compose.Tag(former)
	out, err := o.engine.docker("image", "inspect", "--format", "{{.Id}}", kept).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != image0 {
		o.t.Errorf("the image of the former release is not kept under its tag: %v: %s", err, out)
	}
	if answers := o.read("state/models/relevance/runs/" + run.ID + "/predictions.jsonl"); strings.Count(answers, "\n") < 300 {
		o.t.Errorf("predictions.jsonl has fewer than 300 answers:\n%s", answers)
	}
	if out, err := o.engine.docker("ps", "-aq").CombinedOutput(); err != nil || len(strings.Fields(string(out))) != 1 {
		o.t.Errorf("want only the container of the service: %v: %s", err, out)
	}
	return image, file
}

// rollsBackExit starts a retrain, which must be run number n, with a new container that ends at once. It is rolled back
// to the given image and model file, without a build.
func (o *operator) rollsBackExit(n int, image, file string) {
	o.t.Helper()
	o.sql("update items set priority = 'hoch' where content like '%haushalt%'")
	app := o.read("tuner/" + service + "/app.py")
	ends := "import os\nif os.path.exists('/state/broken'): raise SystemExit('no such model')\nprint("
	o.write("tuner/"+service+"/app.py", strings.Replace(app, "print(", ends, 1))
	o.retrain("broken", n, policy.OutcomeRolledBack, "no such model")
	o.asBefore("failing health", image, file)
	o.write("tuner/"+service+"/app.py", app)
}
