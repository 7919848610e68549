package labelevent

import (
	"fmt"
	"strings"
	"testing"
)

// studio returns a webhook of Label Studio about one annotation with the given regions.
func studio(regions string) string {
	return `{"action": "ANNOTATION_CREATED", "task": {"id": 1, "data": {"t": "text"}}, "annotation": {"id": 5, "task": 1,
		"updated_at": "2026-01-01T10:00:00Z", "result": [` + regions + `]}}`
}

const (
	choice  = `{"from_name": %q, "type": "choices", "value": {"choices": ["sport"]}}`
	comment = `{"from_name": "comment", "type": "textarea", "value": {"text": ["a comment"]}}`
)

// TestLabelStudioTakesTheNamedRegion: the region with the target's name takes precedence over all others.
func TestLabelStudioTakesTheNamedRegion(t *testing.T) {
	t.Parallel()
	named, other := fmt.Sprintf(choice, "category"), fmt.Sprintf(choice, "mood")
	for name, c := range map[string]struct{ regions, want string }{
		"with a comment":              {named + "," + comment, "sport"},
		"behind a comment":            {comment + "," + named, "sport"},
		"beside another choice":       {other + "," + named, "sport"},
		"a comment alone":             {comment, "nothing"},
		"no region":                   {"", "nothing"},
		"one choice of another name":  {other + "," + comment, "sport"},
		"two choices of other names":  {other + "," + fmt.Sprintf(choice, "tone"), "the tag must have the target's name"},
		"a text under the target":     {strings.Replace(comment, "comment", "category", 1), "a comment"},
		"two regions of the target":   {named + "," + named, "more than one region labels target category"},
		"a span and the named choice": {`{"from_name": "category", "type": "labels", "value": {"labels": ["x"]}},` + named, "sport"},
	} {
		w := decoder(Mapping{}, "category").LabelStudio([]byte(studio(c.regions)), "", now)
		got := Reasons(w.Refused)
		for _, e := range w.Events {
			if got = e.Labels["category"]; e.Withdrawn {
				got = "nothing"
			}
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestLabelStudioSeveralAnnotations: several annotations arrive as a list. The task of each one is at the same index of
// another list, or is found by its id.
func TestLabelStudioSeveralAnnotations(t *testing.T) {
	t.Parallel()
	one := func(id, task int) string {
		return fmt.Sprintf(`{"id": %d, "task": %d, "result": [%s]}`, id, task, fmt.Sprintf(choice, "topic"))
	}
	for name, body := range map[string]string{
		"with tasks":    `"annotation": [` + one(5, 1) + "," + one(6, 2) + `], "task": [{"id": 1, "data": {"t": "one"}}, {"id": 2, "data": {"t": "two"}}]`,
		"by number":     `"annotations": [` + one(5, 1) + "," + one(6, 2) + `], "tasks": [{"id": 2, "data": {"t": "two"}}, {"id": 1, "data": {"t": "one"}}]`,
		"without tasks": `"annotation": [` + one(5, 1) + "," + one(6, 2) + `]`,
	} {
		w := decoder(Mapping{}, "topic").LabelStudio([]byte(`{"action": "ANNOTATIONS_CREATED", `+body+"}"), "k", now)
		if len(w.Refused)+len(w.Ignored) > 0 || len(w.Events) != 2 {
			t.Fatalf("%s: %+v", name, w)
		}
		for i, e := range w.Events {
			want := []string{"one", "two"}[i]
			if name == "without tasks" {
				want = ""
			}
			if e.Item != fmt.Sprint(i+1) || e.Labels["topic"] != "sport" || e.Text["t"] != want || e.Key != fmt.Sprintf("k/%d", i) {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	bad := `{"action": "ANNOTATIONS_CREATED", "annotation": [` + one(5, 1) + `, {"id": 6, "task": 2, "result": [` +
		strings.Replace(fmt.Sprintf(choice, "topic"), "sport", " ", 1) + `]}]}`
	w := decoder(Mapping{}, "topic").LabelStudio([]byte(bad), "", now)
	if len(w.Events) != 1 || len(w.Refused) != 1 || w.Refused[0].Index != 1 {
		t.Errorf("one of two is bad: %+v", w)
	}
}

// TestArgillaTakesTheNamedQuestion: a free text is a label only if its question has the target's name.
func TestArgillaTakesTheNamedQuestion(t *testing.T) {
	t.Parallel()
	const dataset = `{"questions": [{"name": "mood", "settings": {"type": "label_selection"}}, {"name": "comment", "settings": {"type": "text"}}]}`
	for name, c := range map[string]struct{ values, dataset, want string }{
		"the target":               {`{"category": {"value": "sport"}, "comment": {"value": "x"}}`, `{}`, "sport"},
		"one choice and a comment": {`{"mood": {"value": "good"}, "comment": {"value": "x"}}`, dataset, "good"},
		"a comment alone":          {`{"comment": {"value": "x"}}`, dataset, "no question has the name of a target"},
		"the target left open": {
			`{"comment": {"value": "x"}}`, strings.Replace(dataset, "mood", "category", 1), "nothing",
		},
	} {
		body := `{"type": "response.updated", "data": {"id": "r", "status": "submitted", "values": ` + c.values +
			`, "record": {"id": "u", "fields": {"t": "x"}, "dataset": ` + c.dataset + `}}}`
		w := decoder(Mapping{}, "category").Argilla([]byte(body), "", now)
		got := Reasons(w.Refused)
		for _, e := range w.Events {
			if got = e.Labels["category"]; e.Withdrawn {
				got = "nothing"
			}
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
