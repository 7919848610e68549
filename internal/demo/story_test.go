package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// write makes a data file with n items of the categories in turn.
func write(t *testing.T, n int, categories ...string) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"id\":\"i%d\",\"title\":\"t\",\"content\":\"c %d\",\"label\":%q}\n", i, i, categories[i%len(categories)])
	}
	path := filepath.Join(t.TempDir(), "data.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// At the end of the scenario all labels are the true ones again.
func TestStoryEndsWithTheTruth(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", write(t, 700, "a", "a", "a", "b", "b", "c", "c", "d", "e")} {
		s, err := newStory(file, 1)
		if err != nil {
			t.Fatal(err)
		}
		labels, truth := map[string]string{}, map[string]string{}
		for _, it := range s.items {
			labels[it.ID], truth[it.ID] = s.before(it), it.Label
		}
		apply := func(changes []change) {
			for _, c := range changes {
				if labels[c.id] == c.label {
					t.Fatalf("%s is %s already: it would not be a change", c.id, c.label)
				}
				labels[c.id] = c.label
			}
		}
		apply(s.split(s.pairs[0]))
		poison, cure := s.poison(7)
		if len(poison) < len(s.items)/4 {
			t.Errorf("%d of %d labels poisoned: too few to be noticed", len(poison), len(s.items))
		}
		apply(poison)
		apply(cure)
		apply(s.split(s.pairs[1]))
		for id, want := range truth {
			if labels[id] != want {
				t.Fatalf("%s ends as %s, not %s", id, labels[id], want)
			}
		}
	}
}

func TestBadData(t *testing.T) {
	t.Parallel()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "bad.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, path, want string }{
		{"missing", "/no/such/file", "no such file"},
		{"not JSON", file("{\"id\":\"1\",\"label\":\"a\"}\nnonsense\n"), "bad.jsonl:2: "},
		{"no label", file("{\"id\":\"1\"}\n"), "bad.jsonl:1: id and label are required"},
		{"twice", file("{\"id\":\"1\",\"label\":\"a\"}\n{\"id\":\"1\",\"label\":\"b\"}\n"), "bad.jsonl:2: duplicate id \"1\""},
		{"too few", write(t, 10, "a", "b", "c", "d", "e"), "at least 300"},
		{"too few categories", write(t, 400, "a", "b", "c"), "3 categories; the demo needs at least 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := newStory(c.path, 1)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// happened returns a result in which everything is as expected.
func happened(t *testing.T) (Result, []status.Run, []notify.Event) {
	t.Helper()
	var runs []status.Run
	for i := len(outcomes) - 1; i >= 0; i-- {
		runs = append(runs, status.Run{ID: fmt.Sprint(i), Outcome: outcomes[i]})
	}
	event := func(kind notify.Kind, data any) notify.Event {
		e, err := notify.New(kind, modelName, "", data, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	return Result{Items: 10, LabelChanges: 5, Requests: 3}, runs, []notify.Event{
		event(notify.LabelsReceived, notify.Labels{Changes: 10}), event(notify.LabelsReceived, notify.Labels{Changes: 5}),
		event(notify.ModelDeployed, notify.Deployed{}), event(notify.ModelDeployed, notify.Deployed{}),
		event(notify.ModelRejected, notify.Rejected{}), event(notify.ModelRolledBack, notify.RolledBack{}),
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*Result, *[]status.Run, *[]notify.Event)
		want  string
	}{
		{"as expected", func(*Result, *[]status.Run, *[]notify.Event) {}, ""},
		{"a run is missing", func(_ *Result, r *[]status.Run, _ *[]notify.Event) { *r = (*r)[1:] }, "run 4 did not happen"},
		{"a run too many", func(_ *Result, r *[]status.Run, _ *[]notify.Event) {
			*r = append([]status.Run{{Outcome: policy.OutcomeFailed}}, *r...)
		}, "5 runs happened"},
		{"the poison got through", func(_ *Result, r *[]status.Run, _ *[]notify.Event) { (*r)[1].Outcome = policy.OutcomePromoted }, "run 3 ended as promoted, expected rejected"},
		{"an event is missing", func(_ *Result, _ *[]status.Run, e *[]notify.Event) { *e = (*e)[:5] }, "model.rolled_back 0 times"},
		{"a change was lost", func(r *Result, _ *[]status.Run, _ *[]notify.Event) { r.LabelChanges++ }, "6 label changes were made, 5 were counted"},
		{"a request failed", func(r *Result, _ *[]status.Run, _ *[]notify.Event) { r.FailedRequests = 1 }, "1 of 3 requests"},
		{"no request", func(r *Result, _ *[]status.Run, _ *[]notify.Event) { r.Requests = 0 }, "the classifier got no requests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, runs, events := happened(t)
			c.spoil(&r, &runs, &events)
			r.judge(runs, events)
			if r.OK != (c.want == "") {
				t.Errorf("ok is %v: %v", r.OK, r.Problems)
			}
			if c.want != "" && !strings.Contains(strings.Join(r.Problems, "; "), c.want) {
				t.Errorf("problems %q do not contain %q", r.Problems, c.want)
			}
		})
	}
}
