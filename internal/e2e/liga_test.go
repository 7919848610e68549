//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// The scenario of configs/examples/liga-llm.yaml: a language model on an Ollama server is fine-tuned, merged, converted
// and served by the procedure of the example, with a training that only counts words. Clients send requests throughout.
func TestLigaStory(t *testing.T) {
	s := newStudio(t)
	const before, after = "false none", "true mittel" // answers about the topic whose labels people correct
	c := s.ask(s.client)
	c.may(before)
	s.run()
	m := s.model("the adoption", func(m status.Model) bool {
		return m.Release != "" && m.Report != nil && m.Report.Scored > 0
	})
	if !strings.HasPrefix(m.Release, "adopted:") || m.Report.Accuracy < 0.95 {
		t.Fatalf("want an adopted release with an accuracy of at least 0.95, got %s with %.3f", m.Release, m.Report.Accuracy)
	}

	// People correct a topic: the policy starts a run, which trains, stages, queries and proves the model.
	c.may(before, after)
	s.write(liga+"/slow", "")
	s.sql("update items set relevant = true, priority = 'mittel' where topic = 'verkehr'")
	training(s)
	s.killDaemon() // the training continues without the daemon
	s.run()
	s.settling()
	s.remove(liga + "/slow")
	run := s.end(liga, 1, policy.OutcomePromoted, "held-out items right")
	s.once(run, "train", "deploy", "verify")
	if !strings.Contains(run.Trigger, "110 of 330 labels changed") {
		t.Errorf("the run's trigger is %q, want 110 of 330 labels changed", run.Trigger)
	}
	c.may(after)
	first := s.settled()

	// A bad training result is refused.
	s.write(liga+"/worse", "")
	s.must("trigger", liga, "--reason", "another base model")
	s.end(liga, 2, policy.OutcomeRejected, "")
	s.remove(liga + "/worse")
	if now := s.settled(); now != first {
		t.Errorf("after a rejected run release %s serves, want %s", now, first)
	}

	// The supervisor of the step `stage` is killed, and then the daemon during the deployment. There is still one
	// promotion and one switch.
	creation := s.hold("/api/create")
	s.must("trigger", liga, "--reason", "another night")
	s.await("the creation of the candidate", creation.reached)
	s.killSupervisor("stage")
	change := s.hold("/api/copy")
	creation.letGo()
	s.await("the switch", change.reached)
	s.killDaemon()
	s.run()
	s.settling()
	change.letGo()
	run = s.end(liga, 3, policy.OutcomePromoted, "not worse")
	s.once(run, "train", "deploy", "verify")
	if now := s.settled(); now == first || change.count.Load() != 1 {
		t.Errorf("want a new release after one switch of the serving name; release %s serves after %d",
			now, change.count.Load())
	}

	// The server is killed while the candidate is queried, and then restarted.
	asked := s.questioned(10)
	s.must("trigger", liga, "--reason", "another night")
	s.await("some questions", asked)
	s.server.Kill()
	s.eventually("a client that gets no answer", func() (bool, error) { return c.failed(), nil })
	s.server.Up()
	s.once(s.end(liga, 4, policy.OutcomePromoted, "not worse"), "predict")
	s.meanwhile(nil)

	// Somebody assigns the serving name to another model: this is detected and reverted.
	c.may(before, after)
	if err := s.client.Copy(t.Context(), second, liga); err != nil {
		t.Fatal(err)
	}
	if out, code := s.retraind("verify", liga); code != 3 || !strings.HasPrefix(out, "foreign: ") {
		t.Fatalf("retraind verify: exit status %d, want 3 and foreign: %s", code, out)
	}
	if out, code := s.retraind("status", "--check"); code != 3 || !strings.Contains(out, "FOREIGN") {
		t.Fatalf("retraind status: exit status %d, want 3 and FOREIGN: %s", code, out)
	}
	s.must("models", "redeploy", liga)
	s.end(liga, 5, policy.OutcomePromoted, "")
	c.may(after)
	if out, code := s.retraind("verify", liga); code != 0 || !strings.HasPrefix(out, "proved: ") {
		t.Fatalf("retraind verify: exit status %d, want 0 and proved: %s", code, out)
	}

	// A larger model labels unlabelled items, while a second model of the server is trained: neither disturbs the
	// other.
	s.must("trigger", liga, "--pipeline", "full", "--reason", "a new topic")
	s.must("trigger", second, "--reason", "labels corrected")
	s.end(liga, 6, policy.OutcomePromoted, "not worse")
	s.end(second, 1, policy.OutcomePromoted, "held-out items right")
	for name, want := range map[string]string{liga: after, second: before} {
		if got := s.says(name, "zeugnis meldung\nferien"); got != want {
			t.Errorf("%s answers %q about the topic that only the teacher knew, want %q", name, got, want)
		}
	}
	c.report(s)
}

// training waits until the training has started.
func training(s *studio) {
	s.t.Helper()
	s.eventually("the training", func() (bool, error) { return exists(s.path(liga, "training")), nil })
	s.remove(liga + "/training")
}

// settling waits until the daemon has resumed the active run.
func (s *studio) settling() {
	s.t.Helper()
	s.model("the daemon", func(m status.Model) bool { return m.Active != nil })
}

// once checks that a run executed each of the steps in a single attempt.
func (s *studio) once(run status.Run, steps ...string) {
	s.t.Helper()
	shown := s.must("runs", "show", run.ID)
	for _, step := range steps {
		if !strings.Contains(shown, "  "+step+" ") || strings.Contains(shown, step+" (attempt") {
			s.t.Errorf("step %s is missing or needed more than one attempt:\n%s", step, shown)
		}
	}
}

// settled waits until no run is active, and returns the serving release.
func (s *studio) settled() string {
	s.t.Helper()
	return s.model("the end of the run", func(m status.Model) bool { return m.Active == nil }).Release
}

// says returns a model's answer to a text.
func (s *studio) says(model, text string) string {
	s.t.Helper()
	got, err := answerOf(s.t.Context(), s.client, model, text)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}
