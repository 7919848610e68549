//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/status"
)

// The scenario of configs/examples/liga-llm.yaml with its GPU part. A backend in docker compose and the models that
// Ollama has loaded are stopped for the training and run again before the deployment. A fake of NVIDIA's library
// simulates the card.
func TestLigaWithGPU(t *testing.T) {
	s := newStudio(t)
	s.card()
	s.backend()
	s.write("retraind.yaml", s.sharingGPU())
	s.run()
	s.model("the adoption", func(m status.Model) bool { return m.Release != "" && m.Report != nil && m.Report.Scored > 0 })

	// During a training the serving model is unloaded and the backend stopped, even while the daemon is killed and
	// restarted.
	const kept = 47 * time.Minute
	s.loadFor(kept)
	s.write(liga+"/slow", "")
	s.must("trigger", liga, "--reason", "another night")
	training(s)
	s.stopped("in the training")
	s.killDaemon()
	if out := s.must("restore"); !strings.Contains(out, "it stays stopped: a step of run") {
		t.Errorf("retraind restore: %s", out)
	}
	s.stopped("without a daemon")
	s.run()
	s.settling()
	s.stopped("with the next daemon")
	// If a client loads the model during the training, the daemon detects this and unloads the model again.
	if got := s.says(liga, questions["haushalt"]); got != "true hoch" {
		t.Errorf("the model answers %q, want true hoch", got)
	}
	s.eventually("the unloading of what a client loaded", func() (bool, error) {
		running, err := s.client.Running(t.Context())
		return err == nil && len(running) == 0, errors.Join(err, fmt.Errorf("loaded: %v", running))
	})

	// Before the deployment, the backend and the model run again as before.
	change := s.hold("/api/copy")
	s.remove(liga + "/slow")
	s.await("the switch", change.reached)
	s.back("before the deployment", kept)
	change.letGo()
	run := s.end(liga, 1, policy.OutcomePromoted, "held-out items right")
	s.meanwhile(nil)
	shown := s.must("runs", "show", run.ID, "--json")
	for _, want := range []string{
		"stopped compose service news-aggregator/backend, Ollama model liga-relevance:latest: 9.0 GiB of GPU memory was freed",
		"and was stopped again",
		"Ollama model liga-relevance:latest: it runs again", "compose service news-aggregator/backend: it runs again",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("retraind runs show does not contain %q:\n%s", want, shown)
		}
	}
	if out := s.must("restore"); !strings.Contains(out, "nothing is stopped") {
		t.Errorf("retraind restore: %s", out)
	}

	// They also run again after a training that fails.
	s.loadFor(kept)
	s.write(liga+"/broken", "")
	s.must("trigger", liga, "--reason", "another night")
	s.end(liga, 2, policy.OutcomeFailed, "train")
	s.back("after a failed training", kept)

	// They also run again after a run that is cancelled during its training.
	s.remove(liga + "/broken")
	s.write(liga+"/slow", "")
	s.must("trigger", liga, "--reason", "another night")
	training(s)
	s.stopped("in the second training")
	runs, err := s.runsOf(liga)
	if err != nil {
		t.Fatal(err)
	}
	s.must("runs", "cancel", runs[0].ID)
	s.end(liga, 3, policy.OutcomeCancelled, "")
	s.back("after a cancelled training", kept)
}

// sharingGPU returns the example with its GPU part, adapted to this test: with one model, and a short stable_for.
func (s *studio) sharingGPU() string {
	s.t.Helper()
	b, err := os.ReadFile("../../configs/examples/liga-llm.yaml")
	if err != nil {
		s.t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(b), "    gpu:\n")
	part, _, ok := strings.Cut(part, "    deploy:")
	if !ok {
		s.t.Fatal("the example has no gpu before deploy")
	}
	for _, change := range [][2]string{
		{"wait: 30m", "wait: 2m\n      stable_for: 1s"},
		{"/srv/news-aggregator", s.path("news-aggregator")},
		{"http://127.0.0.1:8000/health", fmt.Sprintf("http://127.0.0.1:%d/health", s.port)},
	} {
		if !strings.Contains(part, change[0]) {
			s.t.Fatalf("the example's gpu has no %q", change[0])
		}
		part = strings.Replace(part, change[0], change[1], 1)
	}
	text, _, _ := strings.Cut(s.read("retraind.yaml"), "  "+second+":\n")
	text = strings.Replace(text, "    deploy:", "    gpu:\n"+part+"    deploy:", 1)
	text = strings.Replace(text, "{name: train, ", "{name: train, gpu: true, ", 1)
	return strings.Replace(text, "version: 1\n", fmt.Sprintf("version: 1\ngpu: {leases: %q}\n", s.path("leases")), 1)
}

// backend starts a service of docker compose and waits until it is healthy.
func (s *studio) backend() {
	s.t.Helper()
	s.program = composeV1(s.t)
	if err := os.CopyFS(s.path("news-aggregator"), os.DirFS("testdata/backend")); err != nil {
		s.t.Fatal(err)
	}
	s.write("news-aggregator/.env", fmt.Sprintf("PORT=%d\n", s.port))
	s.engine = startEngine(s.t)
	for _, args := range [][]string{{"build", "--quiet"}, {"up", "-d", "--no-build"}} {
		cmd := s.program.command(s.path("news-aggregator"), s.engine.host, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	waittest.EventuallyNil(s.t, func() error { return s.curl() })
}

func (s *studio) curl() error {
	out, err := exec.Command("curl", "-sSf", fmt.Sprintf("http://127.0.0.1:%d/health", s.port)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// card simulates a GPU of 24 GiB, on which each model that the server has loaded uses 9 GiB.
func (s *studio) card() {
	s.t.Helper()
	library, state := s.path("driver", "libnvidia-ml.so.1"), s.path("card")
	s.write("driver/empty", "")
	gcc := exec.Command("gcc", "-shared", "-fPIC", "-o", library, "../../testdata/fake-nvml.c")
	if out, err := gcc.CombinedOutput(); err != nil {
		s.t.Fatalf("gcc: %v\n%s", err, out)
	}
	s.t.Setenv("LD_LIBRARY_PATH", filepath.Dir(library))
	s.t.Setenv("FAKE_NVML_STATE", state)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	look := func() {
		pids := runners(s.server.Models)
		text := fmt.Sprintf("used %d\n", 9216*len(pids))
		for _, pid := range pids {
			text += fmt.Sprintf("compute %d 9216\n", pid)
		}
		if err := os.WriteFile(state+".new", []byte(text), 0o600); err == nil {
			_ = os.Rename(state+".new", state)
		}
	}
	look()
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			look()
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	s.t.Cleanup(func() { cancel(); <-ended })
}

// runners returns the processes that have a model of the server in memory.
func runners(models string) (pids []int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, _ := os.ReadFile(path) // an ended process has none
		if !bytes.Contains(line, []byte("\x00runner\x00")) || !bytes.Contains(line, []byte(models)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// loadFor loads the serving model with a keep-alive, while no run is active.
func (s *studio) loadFor(keep time.Duration) {
	s.t.Helper()
	s.model("a quiet daemon", func(m status.Model) bool { return m.Active == nil && m.Phase == status.Watching })
	if err := s.client.Load(s.t.Context(), liga, keep); err != nil {
		s.t.Fatal(err)
	}
}

// stopped checks that no model is loaded and the backend is stopped.
func (s *studio) stopped(when string) {
	s.t.Helper()
	running, err := s.client.Running(s.t.Context())
	if err != nil || len(running) > 0 || len(runners(s.server.Models)) > 0 {
		s.t.Errorf("%s: want no loaded model, got %v, error %v", when, running, err)
	}
	if s.curl() == nil {
		s.t.Errorf("%s: the backend should be stopped, but it answers", when)
	}
}

// back checks that the backend answers, and that the serving model is loaded for the rest of its keep-alive.
func (s *studio) back(when string, keep time.Duration) {
	s.t.Helper()
	if err := s.curl(); err != nil {
		s.t.Errorf("%s: the backend should run again, but it does not answer: %v", when, err)
	}
	running, err := s.client.Running(s.t.Context())
	if err != nil || len(running) != 1 || running[0].Name != ollama.Tagged(liga) {
		s.t.Errorf("%s: want only model %s loaded, got %v, error %v", when, liga, running, err)
		return
	}
	left := time.Until(running[0].Expires)
	s.t.Logf("%s: %s is loaded for %s, the backend answers", when, running[0].Name, left.Round(time.Second))
	if left > keep || left < keep-3*time.Minute {
		s.t.Errorf("%s: the model stays loaded for another %s; its keep-alive was %s when it was stopped", when, left, keep)
	}
}
