package labelevent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/retraind/retraind/watch"
)

// LabelStudio decodes a webhook of Label Studio. An event that has nothing to do with labels gives no events. Where the
// message has no key it gets one from its content: Label Studio sends no id, and a repeated payload has its own time in it.
func (d *Decoder) LabelStudio(body []byte, key string, now time.Time) ([]watch.Event, error) {
	object, err := decodeObject(body)
	if err != nil {
		return nil, err
	}
	events, err := d.withoutPaths().labelStudio(object, now)
	if key == "" {
		sum := sha256.Sum256(body)
		key = "sha256:" + hex.EncodeToString(sum[:])
	}
	return withKeys(events, key), err
}

// withoutPaths is a decoder of labels that a preset has found itself.
func (d *Decoder) withoutPaths() *Decoder {
	own := *d
	own.label, own.labels = "label", nil
	return &own
}

// withKeys names the events of a message.
func withKeys(events []watch.Event, key string) []watch.Event {
	for i := range events {
		events[i].Key = key
		if len(events) > 1 {
			events[i].Key = fmt.Sprintf("%s/%d", key, i)
		}
	}
	return events
}

// labelStudio reads the webhooks of Label Studio. Of the payload only the task and the annotation are looked at: the
// project in it carries a token.
func (d *Decoder) labelStudio(object map[string]any, now time.Time) ([]watch.Event, error) {
	action, _ := object["action"].(string)
	switch action {
	case "ANNOTATION_CREATED", "ANNOTATION_UPDATED":
	case "TASKS_DELETED":
		return d.tasksDeleted(object, now)
	case "":
		return nil, errors.New("there is no field action: is this a webhook of Label Studio?")
	default: // other things that happen there; a deletion names annotations, which nobody here knows
		return nil, nil
	}
	annotation, _ := object["annotation"].(map[string]any)
	task, _ := object["task"].(map[string]any)
	if annotation == nil || task == nil {
		return nil, errors.New("the payload has no annotation and task: switch on \"send payload\" for the webhook")
	}
	if skipped, _ := annotation["was_cancelled"].(bool); skipped {
		return nil, nil
	}
	plain := map[string]any{"annotation": annotation, "task": task}
	e := watch.Event{}
	var err error
	idPath := d.id
	if idPath == "id" {
		idPath = "task.id"
	}
	if e.Item, err = itemID(plain, idPath); err != nil {
		return nil, err
	}
	textFrom := plain
	if d.text == nil { // only its texts: a task may hold numbers and lists too
		textFrom = map[string]any{"text": onlyTexts(task["data"])}
	}
	if e.Text, err = d.readText(textFrom); err != nil {
		return nil, err
	}
	labels, err := d.results(annotation["result"])
	if err != nil {
		return nil, err
	}
	if err := d.readLabels(map[string]any{"labels": labels}, &e); err != nil {
		return nil, err
	}
	e.At, err = d.eventTime(map[string]any{d.at: annotation["updated_at"]}, now)
	if by, ok := annotation["completed_by"]; ok {
		if who, ok := by.(map[string]any); ok {
			by = who["email"]
		}
		e.Author = author(by)
	}
	return []watch.Event{e}, err
}

func (d *Decoder) tasksDeleted(object map[string]any, now time.Time) ([]watch.Event, error) {
	if d.id != "id" && d.id != "task.id" {
		return nil, nil // the ids are in the tasks' data, which a deletion does not send
	}
	list, _ := object["tasks"].([]any)
	var events []watch.Event
	for _, task := range list {
		id, err := itemID(map[string]any{"task": task}, "task.id")
		if err != nil {
			return nil, err
		}
		events = append(events, watch.Event{Item: id, Delete: true, At: now})
	}
	return events, nil
}

// results are the labels of an annotation by target: its regions have the names of the tags in the labelling interface.
// The name of the only target may be another.
func (d *Decoder) results(v any) (map[string]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("annotation.result: a list is wanted")
	}
	out := map[string]any{}
	for _, region := range list {
		r, _ := region.(map[string]any)
		name, _ := r["from_name"].(string)
		value, _ := r["value"].(map[string]any)
		kind, _ := r["type"].(string)
		target := name
		if d.onlyTarget != "" && target != d.onlyTarget {
			target = d.onlyTarget
		}
		if _, ok := d.targets[target]; !ok || !slices.Contains([]string{"choices", "rating", "number", "textarea"}, kind) {
			continue // regions of other tags
		}
		label, ok := value[kind]
		if kind == "textarea" {
			label, ok = value["text"]
		}
		if !ok || label == nil {
			return nil, fmt.Errorf("annotation.result: %s has no %s", quoteShort(name), kind)
		}
		if _, twice := out[target]; twice {
			return nil, fmt.Errorf("annotation.result: more than one region labels target %s; name the tag as the target",
				target)
		}
		out[target] = label
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("annotation.result: no region of type choices, rating, number or textarea has the name of a target (%s)", d.names())
	}
	return out, nil
}

func onlyTexts(v any) map[string]any {
	data, _ := v.(map[string]any)
	out := map[string]any{}
	for name, v := range data {
		if s, ok := v.(string); ok {
			out[name] = s
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
