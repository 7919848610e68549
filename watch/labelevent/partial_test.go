package labelevent

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
)

// TestLabelStudioOnePartIsBad: a part of a webhook that is refused does not affect the parts after it.
func TestLabelStudioOnePartIsBad(t *testing.T) {
	t.Parallel()
	const region = `"result": [{"from_name": "label", "type": "choices", "value": {"choices": ["sport"]}}]`
	for name, body := range map[string]string{
		"deleted tasks": `{"action": "TASKS_DELETED", "tasks": [{"id": 1}, {"id": null}, {"id": 3}]}`,
		"annotations": `{"action": "ANNOTATIONS_CREATED", "annotations": [{"id": 1, "task": 1, ` + region + `},
			{"id": 2, ` + region + `}, {"id": 3, "task": 3, ` + region + `}]}`,
		"deleted annotations": `{"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}, {"id": null}, {"id": 3}]}`,
	} {
		w := decoder(Mapping{}).LabelStudio([]byte(body), "", now)
		if len(w.Events) != 2 || len(w.Refused) != 1 || w.Refused[0].Index != 1 {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

// TestWithdrawnWithoutASubject: a skipped annotation without an id removes no labels, and the answer does not say so.
func TestWithdrawnWithoutASubject(t *testing.T) {
	t.Parallel()
	body := strings.Replace(studio(""), `"id": 5, `, "", 1)
	w := decoder(Mapping{}).LabelStudio([]byte(body), "", now)
	if len(w.Events) != 0 || len(w.Ignored) != 1 || strings.Contains(w.Ignored[0], "removed") {
		t.Errorf("%+v", w)
	}
}

// TestTextIsNoSet: a text is no label of a set, even if it is the word null.
func TestTextIsNoSet(t *testing.T) {
	t.Parallel()
	d := NewDecoder(Mapping{}, []serving.Target{{Name: "label", Kind: serving.KindSet}}, nil)
	for _, text := range []string{"null", "sport"} {
		e, err := d.Decode([]byte(`{"id": 1, "label": "`+text+`"}`), now)
		if err == nil || !strings.Contains(err.Error(), "expected a list of labels, not a text") {
			t.Errorf("%s: %+v, %v", text, e, err)
		}
	}
}
