package labelevent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/retraind/retraind/watch"
)

// Webhook is the decoded content of an annotation tool's webhook.
type Webhook struct {
	Events  []watch.Event
	Ignored []string  // for each part of the payload that gives no label or text: what it is, and why
	Refused []Refusal // parts of the payload that were refused
}

func (w *Webhook) ignore(format string, args ...any) {
	w.Ignored = append(w.Ignored, fmt.Sprintf(format, args...))
}

// refuse records that the part of the payload with this index was refused.
func (w *Webhook) refuse(index int, err error) {
	w.Refused = append(w.Refused, Refusal{Index: index, Reason: err.Error()})
}

// LabelStudio decodes a webhook of Label Studio. If the message has no key, a key is derived from the content of the
// message: Label Studio sends no id, but a timestamp in the payload distinguishes two messages that are otherwise
// equal.
func (d *Decoder) LabelStudio(body []byte, key string, now time.Time) (w Webhook) {
	object, err := decodeObject(body)
	if err == nil {
		err = d.withoutPaths().labelStudio(object, now, &w)
	}
	if err != nil {
		w.refuse(len(w.Refused), err)
	}
	if key == "" {
		sum := sha256.Sum256(body)
		key = "sha256:" + hex.EncodeToString(sum[:])
	}
	w.Events = withKeys(w.Events, key)
	return w
}

// withoutPaths returns a decoder for labels that a preset has already extracted.
func (d *Decoder) withoutPaths() *Decoder {
	own := *d
	own.label, own.labels = "label", nil
	return &own
}

// withKeys sets the keys of a message's events. It derives them from key, the key of the message.
func withKeys(events []watch.Event, key string) []watch.Event {
	for i := range events {
		events[i].Key = key
		if len(events) > 1 && key != "" {
			events[i].Key = fmt.Sprintf("%s/%d", key, i)
		}
	}
	return events
}

// labelStudio reads the webhooks of Label Studio. It reads only tasks and annotations from the payload, because the
// project in the payload contains a token.
func (d *Decoder) labelStudio(object map[string]any, now time.Time, w *Webhook) error {
	action, _ := object["action"].(string)
	switch action {
	case "ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED":
		return d.annotations(object, now, w)
	case "ANNOTATIONS_DELETED":
		for i, a := range list(object, "annotations", "annotation") {
			if subject := nameOf("annotation", a["id"]); subject != "" {
				w.Events = append(w.Events, watch.Event{Subject: subject, Withdrawn: true, At: now})
			} else {
				w.refuse(i, errors.New("the deleted annotation has no id"))
			}
		}
	case "TASKS_CREATED":
		return d.tasksCreated(object, now, w)
	case "TASKS_DELETED":
		return d.tasksDeleted(object, now, w)
	case "":
		return errors.New("there is no field action: is this a webhook of Label Studio?")
	default:
		w.ignore("%s does not concern labels", quoteShort(action))
	}
	if len(w.Events)+len(w.Ignored)+len(w.Refused) == 0 {
		return errNoPayload
	}
	return nil
}

var errNoPayload = errors.New("the payload has no annotation and task: switch on \"send payload\" for the webhook")

// list returns the objects under the first of the given names that exists. It returns a single object as a list of
// one.
func list(object map[string]any, names ...string) (out []map[string]any) {
	for _, name := range names {
		switch v := object[name].(type) {
		case map[string]any:
			return []map[string]any{v}
		case []any:
			for _, one := range v {
				if o, ok := one.(map[string]any); ok {
					out = append(out, o)
				}
			}
			return out
		}
	}
	return nil
}

// nameOf returns a name for an object of the tool, made of its kind and its id. It returns "" if the id is missing,
// too long, or neither a number nor a text.
func nameOf(kind string, id any) string {
	switch id := id.(type) {
	case json.Number:
		return kind + " " + id.String()
	case string:
		if id != "" && len(id) < MaxID {
			return kind + " " + id
		}
	}
	return ""
}

// annotations reads one annotation with its task, or several annotations with their tasks.
func (d *Decoder) annotations(object map[string]any, now time.Time, w *Webhook) error {
	all, tasks := list(object, "annotation", "annotations"), list(object, "task", "tasks")
	if len(all) == 0 {
		return errNoPayload
	}
	byID := map[string]map[string]any{}
	for _, task := range tasks {
		byID[nameOf("task", task["id"])] = task
	}
	for i, annotation := range all {
		task := byID[nameOf("task", annotation["task"])]
		if task == nil && len(tasks) == len(all) {
			task = tasks[i]
		}
		if task == nil && annotation["task"] != nil {
			task = map[string]any{"id": annotation["task"]}
		}
		if task == nil {
			w.refuse(i, errNoPayload)
		} else if err := d.annotation(annotation, task, now, w); err != nil {
			w.refuse(i, err)
		}
	}
	return nil
}

// annotation reads one annotation.
func (d *Decoder) annotation(annotation, task map[string]any, now time.Time, w *Webhook) error {
	plain := map[string]any{"annotation": annotation, "task": task}
	e := watch.Event{Subject: nameOf("annotation", annotation["id"]), Alias: nameOf("task", task["id"])}
	var err error
	if e.Item, err = d.itemID(plain, d.taskPath()); err != nil {
		return err
	}
	if e.At, err = d.eventTime(map[string]any{d.at: annotation["updated_at"]}, now); err != nil {
		return err
	}
	e.Ordered = !e.At.Equal(now)
	if by, ok := annotation["completed_by"]; ok {
		if who, ok := by.(map[string]any); ok {
			by = who["email"]
		}
		e.Author = author(by)
	}
	if skipped, _ := annotation["was_cancelled"].(bool); skipped {
		w.withdraw(e, "it was skipped")
		return nil
	}
	labels, err := d.results(annotation["result"])
	if err != nil {
		return err
	}
	if len(labels) == 0 {
		w.withdraw(e, fmt.Sprintf("it has no choice, rating or number for %s", d.names()))
		return nil
	}
	if e.Text, err = d.taskText(plain); err != nil {
		return err
	}
	if err := d.readLabels(map[string]any{"labels": labels}, &e); err != nil {
		return err
	}
	w.Events = append(w.Events, e)
	return nil
}

// withdraw adds an event that removes the labels that the subject of e set before, and records the reason.
func (w *Webhook) withdraw(e watch.Event, why string) {
	if e.Subject == "" {
		w.ignore("%s; it has no id, so its earlier labels stay", why)
		return
	}
	w.ignore("%s: %s, and its earlier labels are removed", e.Subject, why)
	e.Withdrawn, e.Alias = true, ""
	w.Events = append(w.Events, e)
}

// taskPath returns the path of the item's id.
func (d *Decoder) taskPath() string {
	if d.id == "id" {
		return "task.id"
	}
	return d.id
}

// taskText reads the text of a task. If no paths are configured, it reads only the string fields, because a task may
// contain numbers and lists too.
func (d *Decoder) taskText(plain map[string]any) (map[string]string, error) {
	if d.text == nil {
		task, _ := plain["task"].(map[string]any)
		return d.readText(map[string]any{"text": onlyTexts(task["data"])})
	}
	return d.readText(plain)
}

// tasksCreated reads imported tasks, which contain the texts of their items.
func (d *Decoder) tasksCreated(object map[string]any, now time.Time, w *Webhook) error {
	for i, task := range list(object, "tasks", "task") {
		plain := map[string]any{"task": task}
		e := watch.Event{Alias: nameOf("task", task["id"])}
		var err error
		if e.Item, err = d.itemID(plain, d.taskPath()); err == nil {
			e.Text, err = d.taskText(plain)
		}
		if err == nil {
			e.At, err = d.eventTime(map[string]any{d.at: task["updated_at"]}, now)
			e.Ordered = !e.At.Equal(now)
		}
		switch {
		case err != nil:
			w.refuse(i, err)
		case e.Text == nil:
			w.ignore("%s: it has no text", e.Alias)
		default:
			w.Events = append(w.Events, e)
		}
	}
	if len(w.Events)+len(w.Ignored)+len(w.Refused) == 0 {
		return errNoPayload
	}
	return nil
}

// tasksDeleted adds events that delete items. Label Studio sends a deletion without the tasks' data. If item ids are
// read from that data, the items are found by their task ids.
func (d *Decoder) tasksDeleted(object map[string]any, now time.Time, w *Webhook) error {
	for i, task := range list(object, "tasks", "task") {
		e := watch.Event{Delete: true, At: now, Alias: nameOf("task", task["id"])}
		if d.taskPath() == "task.id" {
			var err error
			if e.Item, err = d.itemID(map[string]any{"task": task}, "task.id"); err != nil {
				w.refuse(i, err)
				continue
			}
		}
		w.Events = append(w.Events, e)
	}
	if len(w.Events)+len(w.Refused) == 0 {
		return errNoPayload
	}
	return nil
}

// region is the result of one control of the labelling interface.
type region struct {
	name, kind string
	label      any
}

// results returns the labels of an annotation by target. A region has the name of its tag in the labelling interface,
// and gives the label of the target with the same name. Exception: if the model has one target and no region has its
// name, the only region with a choice, a rating or a number is used. A free text is used only if the tag has the
// target's name.
func (d *Decoder) results(v any) (map[string]any, error) {
	all, ok := v.([]any)
	if !ok {
		return nil, errors.New("annotation.result: expected a list")
	}
	named, others := map[string]any{}, []region(nil)
	for _, one := range all {
		r, ok := readRegion(one)
		if !ok {
			continue
		}
		if r.label == nil {
			return nil, fmt.Errorf("annotation.result: %s has no %s", quoteShort(r.name), r.kind)
		}
		if _, ok := d.targets[r.name]; !ok {
			if r.kind != "textarea" {
				others = append(others, r)
			}
			continue
		}
		if _, twice := named[r.name]; twice {
			return nil, fmt.Errorf("annotation.result: more than one region labels target %s", r.name)
		}
		named[r.name] = r.label
	}
	switch {
	case len(named) > 0 || len(others) == 0:
		return named, nil
	case d.onlyTarget != "" && len(others) == 1:
		return map[string]any{d.onlyTarget: others[0].label}, nil
	case d.onlyTarget != "":
		return nil, fmt.Errorf("annotation.result: more than one region labels target %s; the tag must have the target's name",
			d.onlyTarget)
	}
	return nil, fmt.Errorf("annotation.result: no region of type choices, rating, number or textarea has the name of a target (%s)",
		d.names())
}

// readRegion reads a region that can give a label. It returns false for other regions, such as marked spans.
func readRegion(v any) (r region, ok bool) {
	object, _ := v.(map[string]any)
	value, _ := object["value"].(map[string]any)
	r.name, _ = object["from_name"].(string)
	r.kind, _ = object["type"].(string)
	if !slices.Contains([]string{"choices", "rating", "number", "textarea"}, r.kind) {
		return r, false
	}
	r.label = value[r.kind]
	if r.kind == "textarea" {
		r.label = value["text"]
	}
	return r, true
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
