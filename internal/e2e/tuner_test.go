//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

const (
	model   = "services/classifier-api/models/model.pkl"
	service = "services/classifier-api"
)

// newTuner is an operator whose trainer and service know nothing of retraind: deploy.compose does it all.
func newTuner(t *testing.T) *operator {
	o := newOperator(t, table())
	if err := os.CopyFS(o.path("tuner"), os.DirFS("testdata/tuner")); err != nil {
		t.Fatal(err)
	}
	o.write("tuner/services/classifier-api/.env", fmt.Sprintf("PORT=%d\n", o.port))
	o.write("salt", "pepper\n") // the same items are held out each time
	o.write("retraind.yaml", fmt.Sprintf(`version: 1
state: %[1]q
listen: off
nats: {embedded: true, listen: none}
models:
  relevance:
    dir: %[2]q
    labels: {postgres: {dsn: %[3]q, table: items, id: id, text: [title, content], label: "coalesce(priority, 'none')"}}
    heldout: {share: 25%%, salt_file: %[4]q}
    serving:
      classify: http://127.0.0.1:%[5]d/classify
      health: http://127.0.0.1:%[5]d/health
      adopt: {trained_on: data/final/train.jsonl}
    deploy:
      compose: {dir: services/classifier-api, service: classifier-api, build: true, files: {model.pkl: models/model.pkl}, healthy_within: 20s}
    evaluate: {debounce: 100ms, max_wait: 500ms, min_items: 50}
    retrain_when: {accuracy_below: 20%%}
    limits: {cooldown: 0s, budget: "", breaker: 0}
    promote: {verify_within: 15s, undo_within: 1m}
    pipeline:
      default:
        - {do: export, place: {train.jsonl: data/final/train.jsonl, validation.jsonl: data/final/validation.jsonl, test.jsonl: data/final/test.jsonl}}
        - {name: train, exec: [/usr/bin/python3, train_classifier.py], kind: pure, collect: {%[6]s: model.pkl}}
        - {name: answer, exec: [/usr/bin/python3, answer.py, $RETRAIND_RELEASE_DIR/predictions.jsonl], kind: pure}
        - gate
        - deploy
        - verify
`, o.path("state"), o.path("tuner"), o.dsn, o.path("salt"), o.port, model))
	o.sql(o.must("init", "sql"))
	// The model of before: trained on labels of which a part is wrong.
	o.must("export", modelName, "--out", o.path("before"))
	o.sh(fmt.Sprintf("cd ../tuner; cp %s/*.jsonl data/final/; /usr/bin/python3 train_classifier.py; cp %s ../before/model.pkl",
		o.path("before"), model))
	o.compose("build --quiet")
	o.compose("up -d --no-build")
	waittest.EventuallyNil(t, o.answers)
	return o
}

// env lets the daemon and its children find the engine.
func (o *operator) env() []string {
	return append(os.Environ(), "DOCKER_HOST="+o.engine.host, "DOCKER_BUILDKIT=0", "PATH="+o.path("bin")+":"+os.Getenv("PATH"))
}

func (o *operator) compose(args string) {
	o.t.Helper()
	o.sh("cd ../tuner/services/classifier-api; docker-compose " + args)
}

func (o *operator) write(name, text string) {
	o.t.Helper()
	if err := os.MkdirAll(filepath.Dir(o.path(name)), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(o.path(name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) read(name string) string {
	o.t.Helper()
	b, err := os.ReadFile(o.path(name))
	if err != nil {
		o.t.Fatal(err)
	}
	return string(b)
}

// container is the id and the image of the service's container.
func (o *operator) container() (string, string) {
	o.t.Helper()
	out, err := o.engine.docker("inspect", "--format", "{{.Id}} {{.Image}}", "classifier-api").CombinedOutput()
	if err != nil {
		o.t.Fatalf("%v: %s", err, out)
	}
	id, image, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return id, image
}

// retrain asks for a run and waits until it is the n-th that has ended.
func (o *operator) retrain(n int, outcome policy.Outcome, reason string) status.Run {
	o.t.Helper()
	o.must("trigger", modelName, "--reason", "labels corrected")
	run := o.ended(n)
	if run.Outcome != outcome || !strings.Contains(run.Reason, reason) {
		o.t.Fatalf("run %d has %s: %s\n%s", n, run.Outcome, run.Reason, o.must("runs", "show", run.ID))
	}
	return run
}

// asBefore checks that the service's container and the file in the build context are as they were.
func (o *operator) asBefore(what, image, file string) {
	o.t.Helper()
	if _, now := o.container(); now != image {
		o.t.Errorf("%s: image %s, want %s", what, now, image)
	}
	if o.read("tuner/"+model) != file {
		o.t.Errorf("%s: the build context has another model", what)
	}
	if err := o.answers(); err != nil {
		o.t.Errorf("%s: %v", what, err)
	}
}

func TestTunerStory(t *testing.T) {
	o := newTuner(t)
	o.run()
	m := o.model("the adoption", func(m status.Model) bool {
		return m.Release != "" && m.Report != nil && m.Report.Scored > 0
	})
	t.Logf("adopted at %.1f %% of %d held-out items", 100*m.Report.Accuracy, m.Report.Scored)
	adopted := m.Release
	id0, image0 := o.container()
	file0 := o.read("tuner/" + model)

	// A build that fails touches nothing that serves, and the file that the training overwrote is back.
	o.sql("update items set priority = truth")
	dockerfile := o.read("tuner/" + service + "/Dockerfile")
	o.write("tuner/"+service+"/Dockerfile", dockerfile+"COPY nothing /nothing\n")
	o.retrain(1, policy.OutcomeRolledBack, "COPY failed")
	if id, _ := o.container(); id != id0 {
		t.Errorf("container %s, want %s", id, id0)
	}
	o.asBefore("failing build", image0, file0)
	o.write("tuner/"+service+"/Dockerfile", dockerfile)

	// Promote.
	run := o.retrain(2, policy.OutcomePromoted, "not worse")
	t.Log(o.must("runs", "show", run.ID))
	m = o.model("the promotion", func(m status.Model) bool {
		return m.Active == nil && m.Release != adopted && m.Report.Scored > 0
	})
	t.Logf("promoted at %.1f %%", 100*m.Report.Accuracy)
	id1, image1 := o.container()
	if id1 == id0 || image1 == image0 {
		t.Errorf("container %s of %s is still there", id1, image1)
	}
	file1 := o.read("tuner/" + model)
	if file1 == file0 {
		t.Error("the build context has the model of before")
	}
	kept := compose.Repository("classifier-api", "classifier-api") + ":" + compose.Tag(adopted)
	out, err := o.engine.docker("image", "inspect", "--format", "{{.Id}}", kept).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != image0 {
		t.Errorf("the former image: %v: %s", err, out)
	}

	// A container that ends at once is taken back to the image that served, without a build.
	o.sql("update items set priority = 'hoch' where content like '%haushalt%'")
	app := o.read("tuner/" + service + "/app.py")
	o.write("tuner/"+service+"/app.py", strings.Replace(app, `print("ready"`, `raise SystemExit("no such model")  #`, 1))
	o.retrain(3, policy.OutcomeRolledBack, "no such model")
	o.asBefore("failing health", image1, file1)
	o.write("tuner/"+service+"/app.py", app)
}
