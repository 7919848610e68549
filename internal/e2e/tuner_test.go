//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

const (
	model   = "services/classifier-api/models/model.pkl"
	service = "services/classifier-api"
)

// newTuner returns an operator whose training and service have no code for retraind: deploy.compose does everything.
func newTuner(t *testing.T, p program) *operator {
	o := newOperator(t, table())
	o.program = p
	if err := os.CopyFS(o.path("tuner"), os.DirFS("testdata/tuner")); err != nil {
		t.Fatal(err)
	}
	o.write("tuner/services/classifier-api/.env", fmt.Sprintf("PORT=%d\n", o.port))
	// docker-compose is called through a script, so that a test can act just before a container is replaced.
	real, err := exec.LookPath("docker-compose")
	if err != nil {
		t.Fatal(err)
	}
	o.write("bin/docker-compose", fmt.Sprintf(`#!/bin/sh
case "$*" in *" up -d --no-build --no-deps "*)
	if [ -e %[1]s/slow ]; then touch %[1]s/exchanging; while [ -e %[1]s/slow ]; do sleep 0.1; done; fi
	if [ -e %[1]s/wrong ]; then docker tag $(cat %[1]s/wrong) classifier-api_classifier-api; rm %[1]s/wrong; fi;;
esac
exec %[2]s "$@"
`, o.dir, real))
	if err := os.Chmod(o.path("bin", "docker-compose"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.write("salt", "pepper\n") // always holds out the same items
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
        - predict
        - gate
        - deploy
        - verify
      broken:                                          # between predict and deploy something happens to the host
        - {do: export, place: {train.jsonl: data/final/train.jsonl, validation.jsonl: data/final/validation.jsonl, test.jsonl: data/final/test.jsonl}}
        - {name: train, exec: [/usr/bin/python3, train_classifier.py], kind: pure, collect: {%[6]s: model.pkl}}
        - {do: predict, exec: [/usr/bin/python3, answer.py, $RETRAIND_PREDICTIONS]}
        - gate
        - {name: break, exec: [touch, %[7]q], undo: [rm, -f, %[7]q]}
        - deploy
        - verify
`, o.path("state"), o.path("tuner"), o.dsn, o.path("salt"), o.port, model, o.path("tuner", service, "state", "broken")))
	o.sql(o.must("init", "sql"))
	// The initial model is trained on partly wrong labels.
	o.must("export", modelName, "--out", o.path("before"))
	o.sh(fmt.Sprintf("cd ../tuner; cp %s/*.jsonl data/final/; /usr/bin/python3 train_classifier.py; cp %s ../before/model.pkl",
		o.path("before"), model))
	o.compose("build --quiet")
	o.compose("up -d --no-build")
	waittest.EventuallyNil(t, o.answers)
	return o
}

// env returns the environment for the daemon and its children, with the address of the engine.
func (o *operator) env() []string {
	if o.engine == nil {
		return os.Environ()
	}
	host := cmp.Or(o.host, o.engine.host)
	env := append(os.Environ(), "DOCKER_HOST="+host, "DOCKER_BUILDKIT=0", "PATH="+o.path("bin")+":"+os.Getenv("PATH"))
	return append(env, o.program.env...)
}

func (o *operator) compose(args string) {
	o.t.Helper()
	o.sh("cd ../tuner/services/classifier-api; " + o.program.words + " " + args)
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

// container returns the id and the image of the service's container.
func (o *operator) container() (string, string) {
	o.t.Helper()
	out, err := o.engine.docker("inspect", "--format", "{{.Id}} {{.Image}}", "classifier-api").CombinedOutput()
	if err != nil {
		o.t.Fatalf("%v: %s", err, out)
	}
	id, image, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return id, image
}

// retrain requests the n-th run, waits for its end, and checks its outcome and reason.
func (o *operator) retrain(pipeline string, n int, outcome policy.Outcome, reason string) status.Run {
	o.t.Helper()
	o.must("trigger", modelName, "--pipeline", pipeline, "--reason", "labels corrected")
	run := o.ended(n)
	if run.Outcome != outcome || !strings.Contains(run.Reason, reason) {
		o.t.Fatalf("run %d ended as %s: %s\n%s", n, run.Outcome, run.Reason, o.must("runs", "show", run.ID))
	}
	return run
}

// asBefore checks that the service answers, and that its image and the file in the build context are the given ones.
func (o *operator) asBefore(what, image, file string) {
	o.t.Helper()
	if _, now := o.container(); now != image {
		o.t.Errorf("%s: the container has image %s, want %s", what, now, image)
	}
	if o.read("tuner/"+model) != file {
		o.t.Errorf("%s: the build context does not contain the model file that was there before", what)
	}
	if err := o.answers(); err != nil {
		o.t.Errorf("%s: %v", what, err)
	}
}

func TestTunerStory(t *testing.T) {
	o := newTuner(t, composeV1(t))
	o.run()
	m := o.model("the adoption", func(m status.Model) bool {
		return m.Release != "" && m.Report != nil && m.Report.Scored > 0
	})
	t.Logf("adopted at %.1f%% of %d held-out items", 100*m.Report.Accuracy, m.Report.Scored)
	id0, image0 := o.container()
	file0 := o.read("tuner/" + model)

	// A failed build does not affect the service, and the file that the training overwrote is restored.
	o.sql("update items set priority = truth")
	dockerfile := o.read("tuner/" + service + "/Dockerfile")
	o.write("tuner/"+service+"/Dockerfile", dockerfile+"COPY nothing /nothing\n")
	o.retrain("default", 1, policy.OutcomeFailed, "COPY failed")
	if id, _ := o.container(); id != id0 {
		t.Errorf("the failed build replaced the container: it is %s, was %s", id, id0)
	}
	o.asBefore("failing build", image0, file0)
	o.write("tuner/"+service+"/Dockerfile", dockerfile)

	o.fullDisk(2, id0, image0, file0)

	image1, file1 := o.promotes(3)
	o.rollsBackExit(4, image1, file1)

	// Another program gives the image name to another image during the deployment.
	o.write("wrong", image0)
	o.retrain("default", 5, policy.OutcomeRolledBack, "of the release: does another compose file")
	o.asBefore("wrong image", image1, file1)

	// The daemon is killed twice during the deployment, and the supervisor once. The run still has one outcome.
	o.write("slow", "")
	o.must("trigger", modelName, "--reason", "labels corrected")
	o.deploying()
	o.killDaemon()
	o.run()
	o.model("the deployment again", func(m status.Model) bool { return m.Active != nil && underWay(m.Active.Steps, "deploy") })
	o.killSupervisors()
	o.killDaemon()
	o.remove("slow")
	o.run()
	o.model("the daemon", func(status.Model) bool { return true })
	if run := o.ended(6); run.Outcome != policy.OutcomePromoted {
		t.Fatalf("run 6 ended as %s, want promoted: %s\n%s", run.Outcome, run.Reason, o.must("runs", "show", run.ID))
	}
	_, image2 := o.container()
	if image2 == image1 {
		t.Error("the run whose deployment was killed is promoted, but the container has the same image as before")
	}
	file2 := o.read("tuner/" + model)

	// The engine is killed during a deployment and then restarted. The former release serves again, and the model is not
	// held.
	o.sql("update items set priority = 'none' where content like '%stau%'")
	o.write("slow", "")
	o.must("trigger", modelName, "--reason", "labels corrected")
	o.deploying()
	o.engine.kill()
	o.remove("slow")
	o.model("the rollback", func(m status.Model) bool { return m.Active != nil && underWay(m.Active.Steps, "undo deploy") })
	o.engine.start()
	if run := o.ended(7); run.Outcome != policy.OutcomeRolledBack {
		t.Fatalf("run 7 ended as %s, want rolled_back: %s", run.Outcome, run.Reason)
	}
	o.asBefore("engine killed", image2, file2)
	if m := o.model("the end", func(m status.Model) bool { return m.Active == nil }); m.Held != nil {
		t.Errorf("the model is held after the rollback: %+v", m.Held)
	}
	o.outages(8)
}

// deploying waits until the container is about to be replaced.
func (o *operator) deploying() {
	o.t.Helper()
	o.model("the deployment", func(m status.Model) bool { return m.Active != nil && underWay(m.Active.Steps, "deploy") })
	waittest.Eventually(o.t, "the exchange", func() bool {
		_, err := os.Stat(o.path("exchanging"))
		return err == nil
	})
	o.remove("exchanging")
}

func (o *operator) remove(name string) {
	o.t.Helper()
	if err := os.Remove(o.path(name)); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) killDaemon() {
	o.t.Helper()
	if err := o.daemon.Process.Kill(); err != nil {
		o.t.Fatal(err)
	}
	_ = o.daemon.Wait()
}

// killSupervisors kills the supervisor of the newest deployment.
func (o *operator) killSupervisors() {
	o.t.Helper()
	claims, err := filepath.Glob(o.path("state/models/relevance/runs/*/steps/deploy/*/claimed"))
	if err != nil || len(claims) == 0 {
		o.t.Fatal("no supervisor of a deployment is running: ", err)
	}
	var pid int
	b, err := os.ReadFile(claims[len(claims)-1])
	if err == nil {
		_, err = fmt.Sscan(string(b), &pid)
	}
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// outages measures the outage of a manual `down; build; up`, and compares it with the outage of the n-th run, which
// follows.
func (o *operator) outages(n int) {
	o.t.Helper()
	app := "tuner/" + service + "/app.py"
	o.write(app, o.read(app)+"\n# something to build\n")
	ctx, stop := context.WithCancel(o.t.Context())
	down := make(chan time.Duration)
	go func() {
		var began, ended time.Time
		for ctx.Err() == nil {
			asked := time.Now()
			if err := o.answers(); err != nil {
				if began.IsZero() {
					began = asked
				}
				ended = time.Time{}
			} else if !began.IsZero() && ended.IsZero() {
				ended = time.Now()
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		if ended.IsZero() { // another client has seen that the service answers again
			ended = time.Now()
		}
		down <- ended.Sub(began)
	}()
	o.compose("down")
	o.compose("build --quiet")
	o.compose("up -d")
	waittest.EventuallyNil(o.t, o.answers)
	stop()
	by := (<-down).Round(10 * time.Millisecond)
	o.must("models", "redeploy", modelName)
	run := o.ended(n)
	o.t.Logf("the service was down for %s during `down; build; up`; the redeploy by retraind:\n%s",
		by, o.must("runs", "show", run.ID))
	if run.Outcome != policy.OutcomePromoted {
		o.t.Errorf("the redeploy ended as %s, want promoted: %s", run.Outcome, run.Reason)
	}
}
