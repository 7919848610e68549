package actions

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

// The disk of the model's directory becomes full before the steps that ask a language model. The step ends as
// disk_full, the champion stays in service, and once there is space again, the next run is promoted.
func TestFullDiskWhileAModelIsAsked(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	for _, name := range []string{"label", "predict"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := ollamatest.NewFake(t)
			ollamatest.Classifier{Words: map[string][]string{"goal": {"sport"}}, Else: []string{"politics"}}.
				Install(t, fake.URL, "teacher", "")
			s := newStudio(t, fake.URL)
			smallDisk(t, s.dir)
			for i := range 400 {
				text := map[string]string{"title": fmt.Sprintf("goal of night %d", i)}
				r := Row{Item: watch.Item{ID: fmt.Sprint("new", i), Text: text, Labels: map[string]string{}}, Side: drift.SideTrain}
				r.Group = drift.GroupHash(text["title"])
				s.source.list = append(s.source.list, r)
			}
			label := StepConfig{&LabelStep{
				Do: DoLabel, OllamaConfig: serving.OllamaConfig{Model: "teacher", URL: fake.URL, Format: json.RawMessage(
					`{"type":"object","properties":{"label":{"type":"string","enum":["politics","sport"]}}}`)},
			}}
			steps := func(version string, words ...string) []StepConfig {
				return slices.Insert(s.trained(s.news(version, words...)), 0, label)
			}
			_, r := s.do(steps("1", "goal=sport", "vote=politics"))
			s.ends(r, policy.OutcomePromoted, "first release", append([]string{"label ok"}, modelSteps...)...)
			first := s.model().Champion

			full := filepath.Join(s.dir, "full")
			fill := sh("fill", fmt.Sprintf("cat /dev/zero >>%[1]q 2>/dev/null; truncate -s -8192 %[1]q", full))
			fill.Kind = KindPure
			second := steps("2", "goal=sport", "vote=politics", "match=sport")
			at := slices.IndexFunc(second, func(c StepConfig) bool { return c.Title() == name })
			_, r = s.do(slices.Insert(slices.Clone(second), at, StepConfig{fill}))
			if list := s.steps(r.ID); !slices.Contains(list, name+" disk_full") ||
				!strings.Contains(r.Reason, "; free disk space") {
				t.Errorf("%s: %s; %v", r.Outcome, r.Reason, list)
			}
			t.Log(r.Reason)
			s.stillServes(first)
			if m := s.model(); m.Champion != first || m.Hold != "" {
				t.Errorf("%+v", m)
			}
			if err := os.Remove(full); err != nil {
				t.Fatal(err)
			}
			_, r = s.do(second)
			if r.Outcome != string(policy.OutcomePromoted) {
				t.Errorf("with space again: %s: %s; %v", r.Outcome, r.Reason, s.steps(r.ID))
			}
		})
	}
}
