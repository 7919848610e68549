package actions

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
)

func TestDeployProblems(t *testing.T) {
	t.Parallel()
	restart := func(r RestartConfig) DeployConfig { return DeployConfig{Restart: &r} }
	var b strings.Builder
	for _, c := range []struct {
		name   string
		config DeployConfig
	}{
		{"the default", DeployConfig{}},
		{"the word", DeployConfig{word: StrategyLink}},
		{"another word", DeployConfig{word: "copy"}},
		{"a unit", restart(RestartConfig{Unit: "classifier@2.service"})},
		{"compose", restart(RestartConfig{Compose: &ComposeService{Dir: "/srv/c", Service: "api"}})},
		{"a command", restart(RestartConfig{Exec: []string{"kill", "$RETRAIND_CURRENT"}})},
		{"nothing", restart(RestartConfig{})},
		{"two ways", restart(RestartConfig{Unit: "a", Exec: []string{"x"}})},
		{"an option for a unit", restart(RestartConfig{Unit: "--force"})},
		{"half of compose", restart(RestartConfig{Compose: &ComposeService{}})},
		{"an option for a service", restart(RestartConfig{Compose: &ComposeService{Dir: "/srv", Service: "--no-deps"}})},
		{"a container", DeployConfig{Compose: &ComposeDeploy{
			Dir: "/srv/c", Service: "api", Build: true, Files: map[string]string{"model.pkl": "models/model.pkl"},
		}}},
		{"half a container", DeployConfig{Compose: &ComposeDeploy{}}},
		{"a container and a restart", DeployConfig{
			Compose: &ComposeDeploy{Dir: "/srv/c", Service: "api"}, Restart: &RestartConfig{Unit: "a"},
		}},
		{"files that go elsewhere", DeployConfig{Compose: &ComposeDeploy{
			Dir: "/srv/c", Service: "api", Project: "Shop", HealthyWithin: -1,
			Files: map[string]string{"/etc/passwd": "a", "a": "../b", "b": "models/", "c": "m", "d": "./m", "e": "", "f": "m/inside"},
		}}},
		{"an unknown variable", restart(RestartConfig{Exec: []string{"x", "$RETRAIND_CURENT"}})},
	} {
		fmt.Fprintf(&b, "%s\n%s", c.name, said(c.config.Validate()))
	}
	golden(t, "deploy.golden", b.String())
}

// deploying returns a world whose service reads its model only at start, and is restarted by the step deploy. Each
// restart appends the target of `current` to a file.
func deploying(t *testing.T) *world {
	t.Helper()
	outcomesOnly(t)
	w := newWorld(t)
	w.served.setStuck(true)
	w.restartsBy("touch $RETRAIND_MODEL_DIR/restart")
	return w
}

// restartsBy sets the script that restarts the service.
func (w *world) restartsBy(script string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "restart.sh")
	text := "#!/bin/sh\necho ${RETRAIND_UNDO:-0} $(basename $(readlink $1)) >>$RETRAIND_MODEL_DIR/restarts\n" + script + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.deploy = &DeployConfig{Restart: &RestartConfig{Exec: []string{path, "$RETRAIND_CURRENT"}}}
}

// deployed returns the pipeline with the step deploy in place of release.
func deployed(train StepType, extra ...StepType) []StepConfig {
	steps := pipeline(train, extra...)
	steps[3] = Do(DoDeploy)
	return steps
}

func (w *world) restarts() string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "restarts"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return string(b)
}

func TestDeployRestartsTheService(t *testing.T) {
	t.Parallel()
	w := deploying(t)
	r := w.run(deployed(w.train(7)))
	w.ends(r, policy.OutcomePromoted, "first release", "export ok", "train ok", "gate ok", "deploy ok", "verify ok")
	r = w.run(deployed(w.train(10)))
	w.ends(r, policy.OutcomePromoted, "not worse", "export ok", "train ok", "gate ok", "deploy ok", "verify ok")
	w.serves(w.model().Champion)
	if got := w.restarts(); got != "0 run0001\n0 run0002\n" {
		t.Errorf("restarts: %q", got)
	}
}

// A release that fails verification is rolled back by the same strategy: the link, then the restart.
func TestDeployIsTakenBack(t *testing.T) {
	t.Parallel()
	w := deploying(t)
	w.run(deployed(w.train(7)))
	champion := w.model().Champion
	r := w.run(deployed(w.train(10), sh("break", "false")))
	w.ends(r, policy.OutcomeRolledBack, "break", "export ok", "train ok", "gate ok", "deploy ok", "break failed", "undo deploy ok", "prove ok")
	w.serves(champion)
	if got := w.restarts(); got != "0 run0001\n0 run0002\n1 run0001\n" {
		t.Errorf("restarts: %q", got)
	}
}

// A failed restart is undone too, because part of it may have happened.
func TestDeployWhoseRestartFails(t *testing.T) {
	t.Parallel()
	w := deploying(t)
	w.run(deployed(w.train(7)))
	champion := w.model().Champion
	w.restartsBy(`[ "$RETRAIND_UNDO" = 1 ] || { echo no such unit >&2; exit 5; }; touch $RETRAIND_MODEL_DIR/restart`)
	r := w.run(deployed(w.train(10)))
	w.ends(r, policy.OutcomeRolledBack, "no such unit", "export ok", "train ok", "gate ok", "deploy failed", "undo deploy ok", "prove ok")
	w.serves(champion)
}

// A deployment that changed nothing restarts nothing when it is undone.
func TestDeployThatChangedNothing(t *testing.T) {
	t.Parallel()
	w := deploying(t)
	w.run(deployed(w.train(7)))
	champion := w.model().Champion
	steps := deployed(w.train(10))
	meddle := sh("meddle", "echo x >>$RETRAIND_RELEASE_DIR/model.json")
	steps = append(steps[:3:3], append([]StepConfig{{meddle}}, steps[3:]...)...)
	r := w.run(steps)
	w.ends(r, policy.OutcomeRolledBack, "the files were changed after the manifest was written", "export ok", "train ok", "gate ok", "meddle ok",
		"deploy failed", "undo deploy ok", "prove ok")
	w.serves(champion)
	if got := w.restarts(); got != "0 run0001\n" {
		t.Errorf("restarts: %q", got)
	}
}

// If the daemon stops while the service is being restarted, the next daemon waits for that restart and does not restart
// the service twice.
func TestDeployOverARestartOfTheDaemon(t *testing.T) {
	t.Parallel()
	w := deploying(t)
	w.restartsBy("while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.05; done; touch $RETRAIND_MODEL_DIR/restart")
	p := w.submit(deployed(w.train(7)))
	waittest.Eventually(t, "the restart", func() bool { return w.restarts() != "" })
	w.stop()
	w.start()
	writeText(t, filepath.Join(w.dir, "go"), "")
	w.ends(w.await(p), policy.OutcomePromoted, "first release", "export ok", "train ok", "gate ok", "deploy ok", "verify ok")
	if got := w.restarts(); got != "0 run0001\n" {
		t.Errorf("restarts: %q", got)
	}
}

// A rollback after a failed probation restarts the service, and so does a redeployment.
func TestDeployRollbackAndRedeploy(t *testing.T) {
	t.Parallel()
	w := deploying(t)
	w.run(deployed(w.train(7)))
	first := w.model().Champion
	promoted := w.submit(deployed(w.train(10)))
	w.ends(w.await(promoted), policy.OutcomePromoted, "not worse", "export ok", "train ok", "gate ok", "deploy ok", "verify ok")
	second := w.model().Champion

	redeploy := PlanRedeploy(promoted, second, "something else serves")
	w.again(&redeploy, second)
	w.ends(w.await(redeploy), policy.OutcomePromoted, "something else serves", "undo deploy ok", "prove ok")
	w.serves(second)

	back := PlanRollback(promoted, second, "too many errors")
	w.again(&back, first)
	w.ends(w.await(back), policy.OutcomeRolledBack, "too many errors", "undo deploy ok", "prove ok")
	w.serves(first)
	if got := w.restarts(); got != "0 run0001\n0 run0002\n1 run0002\n1 run0001\n" {
		t.Errorf("restarts: %q", got)
	}
}

// again submits a plan that was made from the plan of another run.
func (w *world) again(p *Plan, champion string) {
	w.t.Helper()
	w.runs++
	p.Run, p.Champion, p.Created = fmt.Sprintf("run%04d", w.runs), champion, now()
	p.RunDir = filepath.Join(w.dir, "runs", p.Run)
	w.add(*p)
	w.handOver(*p)
}

// The compose command runs in the directory of the compose file; the service is a separate argument.
func TestRestartCommands(t *testing.T) {
	t.Parallel()
	unit := &RestartConfig{Unit: "classifier.service"}
	argv, err := unit.argv(t.Context())
	if got := strings.Join(argv, " "); err != nil || got != "systemctl --no-ask-password restart classifier.service" {
		t.Errorf("unit: %q, %v", got, err)
	}
	deploy := &DeployConfig{Restart: &RestartConfig{Compose: &ComposeService{Dir: "/srv/c", Service: "api"}}}
	s := Resolve([]StepConfig{Do(DoDeploy)}, deploy, "/opt/retraind")[0]
	if s.Dir != "/srv/c" || s.Restart.Compose.Service != "api" || s.Kind != KindPure {
		t.Errorf("compose: %+v", s)
	}
	self := &DeployConfig{Restart: &RestartConfig{Exec: []string{"retraind", "x"}}}
	if got := Resolve([]StepConfig{Do(DoDeploy)}, self, "/opt/retraind")[0].Restart.Exec[0]; got != "/opt/retraind" {
		t.Errorf("the program is %s", got)
	}
	if self.Restart.Exec[0] != "retraind" {
		t.Error("the configuration was changed")
	}
}
