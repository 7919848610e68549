//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// The scenario of a classifier that has been in service for a year: a service in docker compose that answers three
// targets and reads its model only at start, with a scikit-learn training.
func TestOperatorStory(t *testing.T) {
	o := newOperator(t, table())
	o.configure()
	// The initial model is trained on partly wrong labels.
	o.must("export", modelName, "--out", o.path("before"))
	o.sh(fmt.Sprintf("mkdir -p models models.before && /usr/bin/python3 train.py %s models.before && cp models.before/model.pkl models/",
		o.path("before")))
	o.sh("docker-compose build --quiet && docker-compose up -d --no-build")
	waittest.EventuallyNil(t, o.answers)

	// The daemon adopts the model: its accuracy is known, and nothing is trained.
	o.run()
	m := o.model("the adoption", func(m status.Model) bool {
		return m.Release != "" && m.Report != nil &&
			m.Report.Scored > 0
	})
	if !strings.HasPrefix(m.Release, "adopted:") || m.Caveat != "" || m.Active != nil || m.Last != nil {
		t.Fatalf("want an adopted release without a caveat and no run yet: %+v", m)
	}
	adopted := m.Report.Accuracy
	t.Logf("adopted at %.1f%% of %d held-out items", 100*adopted, m.Report.Scored)

	// The labels are corrected; a run trains a candidate and promotes it.
	o.sql("update items set priority = truth")
	m = o.model("the correction", func(m status.Model) bool { return m.Report.Labels.Changed > 100 })
	t.Logf("after the correction it is at %.1f%%", 100*m.Report.Accuracy)
	o.must("trigger", modelName, "--reason", "labels corrected")
	if run := o.ended(1); run.Outcome != policy.OutcomePromoted {
		t.Fatalf("the run ended as %s: %s", run.Outcome, run.Reason)
	}
	m = o.model("the promotion", func(now status.Model) bool {
		return now.Active == nil && now.Release != m.Release && now.Report.Scored > 0
	})
	t.Logf("promoted at %.1f%%", 100*m.Report.Accuracy)

	// Only the target aks changes. A deployment that builds nothing fails the proof and is rolled back.
	o.sql("update items set aks = array['verkehr'] where content like '%bahn%'")
	o.sh("touch no-build")
	o.must("trigger", modelName, "--reason", "a new working group")
	if run := o.ended(2); run.Outcome != policy.OutcomeRolledBack ||
		!strings.Contains(run.Reason, "gives the former release's answer") {
		t.Fatalf("the run ended as %s: %s", run.Outcome, run.Reason)
	}
	if now := o.model("the rollback",
		func(now status.Model) bool { return now.Active == nil }); now.Release != m.Release || now.Held != nil {
		t.Fatalf("want the former release %s and no hold: %+v", m.Release, now)
	}
	o.sh("rm no-build")
	o.must("trigger", modelName, "--reason", "a new working group")
	if run := o.ended(3); run.Outcome != policy.OutcomePromoted {
		t.Fatalf("the run ended as %s: %s", run.Outcome, run.Reason)
	}

	// The model is replaced by hand. This is detected, and the champion is redeployed.
	o.sh("cp models.before/model.pkl models/model.pkl && docker-compose build --quiet && docker-compose up -d --no-build")
	waittest.EventuallyNil(t, o.answers)
	if out, code := o.retraind("verify", modelName); code != 3 || !strings.HasPrefix(out, "foreign: ") {
		t.Fatalf("retraind verify: exit status %d, want 3 and foreign: %s", code, out)
	}
	if out, code := o.retraind("status", "--check"); code != 3 || !strings.Contains(out, "FOREIGN") {
		t.Fatalf("retraind status: exit status %d, want 3 and FOREIGN: %s", code, out)
	}
	o.must("models", "redeploy", modelName)
	if run := o.ended(4); run.Outcome != policy.OutcomePromoted {
		t.Fatalf("the run ended as %s: %s", run.Outcome, run.Reason)
	}
	if out, code := o.retraind("verify", modelName); code != 0 || !strings.HasPrefix(out, "proved: ") {
		t.Fatalf("retraind verify: exit status %d, want 0 and proved: %s", code, out)
	}

	// The engine is killed during a deployment and then restarted. The former release serves again, and the model is not
	// held.
	champion := o.model("the champion",
		func(m status.Model) bool { return m.Active == nil && m.Phase == status.Watching }).Release
	o.sql("update items set priority = 'hoch' where content like '%haushalt%'")
	o.sh("touch slow")
	o.must("trigger", modelName, "--reason", "labels corrected")
	o.model("the deployment", func(m status.Model) bool {
		return m.Active != nil && len(m.Active.Steps) > 0 && underWay(m.Active.Steps, "deploy")
	})
	o.engine.kill()
	o.sh("rm slow")
	o.model("the rollback", func(m status.Model) bool {
		return m.Active != nil &&
			underWay(m.Active.Steps, "undo deploy")
	})
	o.engine.start()
	if run := o.ended(5); run.Outcome != policy.OutcomeRolledBack {
		t.Fatalf("the run ended as %s: %s", run.Outcome, run.Reason)
	}
	if m := o.model("the end", func(m status.Model) bool { return m.Active == nil }); m.Release != champion ||
		m.Held != nil {
		t.Fatalf("want release %s and no hold after the rollback: %+v", champion, m)
	}
}

func underWay(steps []status.Step, name string) bool {
	for _, s := range steps {
		if s.Name == name && s.State == "running" {
			return true
		}
	}
	return false
}

// table returns SQL for a table of 1,200 items with their true priority, about a quarter of them labelled wrong.
func table() string {
	words := map[string][]string{
		"hoch":   strings.Fields("haushalt gesetz minister abstimmung koalition antrag ausschuss reform steuer debatte"),
		"mittel": strings.Fields("bahn strasse bruecke stau takt fahrplan ausbau radweg tunnel sperrung"),
		"none":   strings.Fields("konzert verein fest kuchen chor ausflug turnier garten markt basar"),
	}
	rng := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	b.WriteString("create table items (id int primary key, title text not null, content text not null, truth text, priority text, aks text[] not null default '{}');\n")
	for n := range 1200 {
		truth := []string{"hoch", "mittel", "none"}[n%3]
		var text []string
		for range 12 {
			from := truth
			if rng.IntN(4) == 0 {
				from = []string{"hoch", "mittel", "none"}[rng.IntN(3)]
			}
			text = append(text, words[from][rng.IntN(10)])
		}
		label := truth
		if truth == "hoch" && rng.IntN(5) != 0 {
			label = "mittel"
		}
		fmt.Fprintf(&b, "insert into items values (%d, '%s %d', '%s', %s, %s);\n", n, text[0], n, strings.Join(text[1:], " "),
			quoted(truth), quoted(label))
	}
	return b.String()
}

// quoted returns a label as an SQL literal, or null for the label none.
func quoted(label string) string {
	if label == "none" {
		return "null"
	}
	return "'" + label + "'"
}

func (o *operator) configure() {
	o.t.Helper()
	env := fmt.Sprintf("{PATH: %q, DOCKER_HOST: %q, PORT: \"%d\", DOCKER_BUILDKIT: \"0\", HOME: %q}", os.Getenv("PATH"),
		o.engine.host, o.port, o.dir)
	deploy := fmt.Sprintf("[./deploy.sh, %q]", o.path("state", "models", modelName))
	text := fmt.Sprintf(`version: 1
state: %[1]q
listen: off
nats: {embedded: true, listen: none}
models:
  relevance:
    labels: {postgres: {dsn: %[2]q, table: items, id: id, text: [title, content], label: priority}}
    heldout: {share: 25%%, salt_file: %[8]q}
    serving:
      classify: http://127.0.0.1:%[3]d/classify
      health: http://127.0.0.1:%[3]d/health
      gate: priority
      targets:
        relevant: {kind: bool, label: "priority is not null"}
        priority: {label: priority, null: none}
        aks: {kind: set, label: aks}
      adopt: {trained_on: %[4]q}
    evaluate: {debounce: 100ms, max_wait: 500ms, min_items: 50}
    retrain_when: {accuracy_below: 20%%}
    limits: {cooldown: 0s, budget: "", breaker: 0}
    promote: {verify_within: 30s, undo_within: 2m}
    pipeline:
      default:
        - {do: export}
        - {name: train, shell: true, dir: %[5]q, kind: pure, exec: ["exec /usr/bin/python3 train.py $RETRAIND_DATA_DIR $RETRAIND_RELEASE_DIR"]}
        - {do: gate}
        - {do: release}
        - {name: deploy, exec: %[6]s, undo: %[6]s, dir: %[5]q, env: %[7]s, timeout: 5m}
        - {do: verify}
`, o.path("state"), o.dsn, o.port, o.path("before", "train.jsonl"), o.path("compose"), deploy, env, o.path("salt"))
	if err := os.WriteFile(o.path("salt"), []byte("pepper\n"), 0o600); err != nil { // always holds out the same items
		o.t.Fatal(err)
	}
	if err := os.WriteFile(o.path("retraind.yaml"), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.sql(o.must("init", "sql"))
}
