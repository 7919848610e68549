package actions

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// fillServersDisk writes a file until the disk is full, and returns the file's path.
func fillServersDisk(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return path
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// filesBelow lists the files below a directory, except the filler.
func filesBelow(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "filler" {
			list = append(list, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The server's disk is full when the candidate is created, and again when its name is copied. Both steps report it, the
// former release keeps serving, and once there is space the repeated run is promoted. The run does not know where the
// server keeps its models.
func TestServersDiskIsFull(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	dir := t.TempDir()
	smallDisk(t, filepath.Join(dir, "models"))
	server := ollamatest.StartIn(t, dir)
	s := newStudio(t, server.URL)
	_, r := s.do(s.trained(s.news("1", "goal=sport", "vote=politics")))
	s.ends(r, policy.OutcomePromoted, "first release", modelSteps...)
	first := s.model().Champion
	before := filesBelow(t, server.Models)

	steps := s.trained(s.news("2", "goal=sport", "vote=politics", "match=sport"))
	filler := fillServersDisk(t, server.Models)
	parent, r := s.do(steps)
	s.ends(r, policy.OutcomeFailed, "the disk of the Ollama server is full", "export ok", "train ok", "check ok", "stage disk_full")
	if !strings.Contains(r.Reason, "free space in OLLAMA_MODELS") {
		t.Error("no cure: ", r.Reason)
	}
	t.Log(r.Reason)
	s.stillServes(first)
	if after := filesBelow(t, server.Models); !slices.Equal(before, after) {
		t.Errorf("the server's files: %q, before: %q", after, before)
	}

	// Once there is space, the run is repeated from the step that failed; a step then fills the disk again before the name
	// is copied.
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	fill := sh("fill", "cat /dev/zero 2>/dev/null >"+filler+"; true")
	fill.Kind, fill.Undo = KindPure, []string{"true"}
	full := slices.Insert(slices.Clone(steps), 6, StepConfig{fill})
	p, r := s.repeat(parent, full, "stage")
	s.ends(r, policy.OutcomeRolledBack, "the disk of the Ollama server is full", "export ok", "train ok", "check ok", "stage ok",
		"predict ok", "gate ok", "fill ok", "deploy disk_full", "undo deploy ok", "undo fill ok", "prove ok")
	t.Log(r.Reason)
	s.stillServes(first)
	if s.model().Hold != "" {
		t.Error("held: ", s.model().Hold)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	_, r = s.repeat(p, steps, "stage")
	s.ends(r, policy.OutcomePromoted, "candidate 100.0%, champion 80.0%", modelSteps...)
	if now := s.model().Champion; now == first || s.named() != now {
		t.Errorf("%s serves, the champion is %s", s.named(), now)
	}
	if names := filesBelow(t, filepath.Join(server.Models, "manifests")); slices.ContainsFunc(names, func(name string) bool {
		return strings.Contains(name, "former-try")
	}) {
		t.Errorf("the name of a trial is left: %q", names)
	}
}

// stillServes checks that clients get the answers of a release.
func (s *studio) stillServes(release string) {
	s.t.Helper()
	if s.named() != release || s.model().Champion != release {
		s.t.Errorf("%s serves, the champion is %s, want %s", s.named(), s.model().Champion, release)
	}
	p := Plan{Serving: s.config}
	ask, err := p.Serving.Ollama.Request(map[string]string{"title": "goal of day 1"})
	if err == nil {
		_, err = s.client.Chat(s.t.Context(), ask)
	}
	if err != nil {
		s.t.Error(err)
	}
}

// repeat repeats a run from a step on, as `retraind runs retry` does.
func (s *studio) repeat(parent Plan, steps []StepConfig, from string) (Plan, store.Run) {
	s.t.Helper()
	s.runs++
	p := s.plan(steps)
	p.Serving = s.config
	MarkOllama(p.Steps, p.Serving, p.Stop)
	first := slices.IndexFunc(p.Steps, func(step Step) bool { return step.Name == from })
	carry, why := p.Carry(parent, first)
	if len(carry) == 0 {
		s.t.Fatal("nothing is carried: ", why)
	}
	p.Parent = &Parent{Run: parent.Run, RunDir: parent.RunDir, From: from, Carry: carry}
	s.add(p)
	s.handOver(p)
	return p, s.await(p)
}
