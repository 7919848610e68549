package labelevent

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/watch"
)

// Argilla decodes a webhook of Argilla 2.
func (d *Decoder) Argilla(body []byte, key string, now time.Time) (w Webhook) {
	object, err := decodeObject(body)
	if err == nil {
		err = d.withoutPaths().argilla(object, now, &w)
	}
	if err != nil {
		w.refuse(0, err)
	}
	w.Events = withKeys(w.Events, key)
	return w
}

// argilla reads the webhooks of Argilla 2: responses, and records with their texts. A record is identified by its
// external id if it has one. A deletion contains only Argilla's own id.
func (d *Decoder) argilla(object map[string]any, now time.Time, w *Webhook) error {
	kind, _ := object["type"].(string)
	data, _ := object["data"].(map[string]any)
	if kind == "" || data == nil {
		return errors.New("there are no fields type and data: is this a webhook of Argilla?")
	}
	e := watch.Event{}
	var err error
	said, ok := data["updated_at"]
	if !ok || strings.HasSuffix(kind, ".deleted") {
		said = object["timestamp"]
	}
	if e.At, err = d.eventTime(map[string]any{d.at: said}, now); err != nil {
		return err
	}
	e.Ordered = !e.At.Equal(now)
	switch kind {
	case "response.created", "response.updated":
		return d.response(data, e, w)
	case "response.deleted":
		e.Subject = nameOf("response", data["id"])
		w.withdraw(e, "it was deleted")
		return nil
	case "record.created", "record.updated", "record.completed":
		return d.record(data, e, w)
	case "record.deleted":
		if e.Item, err = d.recordID(data); err != nil {
			return err
		}
		e.Alias, e.Delete = nameOf("record", data["id"]), true
		w.Events = append(w.Events, e)
		return nil
	}
	w.ignore("%s does not concern labels", quoteShort(kind))
	return nil
}

// response reads one person's answers to the questions about a record.
func (d *Decoder) response(data map[string]any, e watch.Event, w *Webhook) error {
	record, _ := data["record"].(map[string]any)
	e.Subject, e.Alias = nameOf("response", data["id"]), nameOf("record", record["id"])
	if name, ok := find(data, "user.username"); ok {
		e.Author = author(name)
	}
	status, _ := data["status"].(string)
	if status != "submitted" {
		w.withdraw(e, "it is "+quoteShort(status)+", not submitted")
		return nil
	}
	var err error
	if e.Item, err = d.recordID(record); err != nil {
		return err
	}
	labels, err := d.answers(data, record)
	if err != nil {
		return err
	}
	if len(labels) == 0 {
		w.withdraw(e, fmt.Sprintf("it has no answer to a question for %s", d.names()))
		return nil
	}
	if e.Text, err = d.readText(argillaText(d, map[string]any{"data": data}, record)); err != nil {
		return err
	}
	if err := d.readLabels(map[string]any{"labels": labels}, &e); err != nil {
		return err
	}
	w.Events = append(w.Events, e)
	return nil
}

// answers returns the labels of a response by target. A question gives the label of the target with the same name.
// Exception: if the model has one target and no question has its name, the only question that gives a label is used.
// A free text is used only if the question has the target's name.
func (d *Decoder) answers(data, record map[string]any) (map[string]any, error) {
	values, _ := data["values"].(map[string]any)
	kinds := questionKinds(record)
	named, others := map[string]any{}, map[string]any{}
	for question, v := range values {
		value, _ := v.(map[string]any)
		if _, ok := d.targets[question]; ok {
			named[question] = value["value"]
		} else if kind := kinds[question]; kind != "text" && kind != "span" && kind != "ranking" {
			others[question] = value["value"]
		}
	}
	for target := range d.targets {
		if _, asked := kinds[target]; asked {
			return named, nil // possibly empty: questions may stay unanswered
		}
	}
	switch {
	case len(named) > 0 || len(values) == 0:
		return named, nil
	case d.onlyTarget != "" && len(others) == 1:
		for _, label := range others {
			named[d.onlyTarget] = label
		}
		return named, nil
	}
	return nil, fmt.Errorf("no question has the name of a target (%s)", d.names())
}

// questionKinds returns the kinds of a dataset's questions by name, if the payload contains them.
func questionKinds(record map[string]any) map[string]string {
	out := map[string]string{}
	dataset, _ := record["dataset"].(map[string]any)
	for _, question := range list(dataset, "questions") {
		name, _ := question["name"].(string)
		settings, _ := question["settings"].(map[string]any)
		out[name], _ = settings["type"].(string)
	}
	return out
}

// record reads a record, which contains the text of its item.
func (d *Decoder) record(record map[string]any, e watch.Event, w *Webhook) (err error) {
	if e.Item, err = d.recordID(record); err != nil {
		return err
	}
	e.Alias = nameOf("record", record["id"])
	data := map[string]any{"data": map[string]any{"record": record}} // the same paths as in a response
	if e.Text, err = d.readText(argillaText(d, data, record)); err != nil {
		return err
	}
	if e.Text == nil {
		w.ignore("%s: it has no text", e.Alias)
		return nil
	}
	w.Events = append(w.Events, e)
	return nil
}

// argillaText returns the object from which the text is read: the record's fields, or the whole payload if all
// configured paths have dots.
func argillaText(d *Decoder, data, record map[string]any) map[string]any {
	if d.text == nil {
		return map[string]any{"text": onlyTexts(record["fields"])}
	}
	for _, path := range d.text {
		if !strings.Contains(path, ".") { // the paths are names of the record's fields
			fields, _ := record["fields"].(map[string]any)
			return fields
		}
	}
	return data
}

func (d *Decoder) recordID(record map[string]any) (string, error) {
	if external, ok := record["external_id"]; ok && external != nil {
		return d.itemID(record, "external_id")
	}
	return d.itemID(record, "id")
}
