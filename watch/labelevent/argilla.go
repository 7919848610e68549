package labelevent

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/watch"
)

// Argilla decodes a webhook of Argilla 2. An event that has nothing to do with labels gives no events.
func (d *Decoder) Argilla(body []byte, key string, now time.Time) ([]watch.Event, error) {
	object, err := decodeObject(body)
	if err != nil {
		return nil, err
	}
	events, err := d.withoutPaths().argilla(object, now)
	return withKeys(events, key), err
}

// argilla reads the webhooks of Argilla 2: responses that were submitted. A record is known by its external id where it
// has one.
func (d *Decoder) argilla(object map[string]any, now time.Time) ([]watch.Event, error) {
	kind, _ := object["type"].(string)
	data, _ := object["data"].(map[string]any)
	switch {
	case kind == "" || data == nil:
		return nil, errors.New("there are no fields type and data: is this a webhook of Argilla?")
	case kind == "record.deleted":
		return d.recordDeleted(data, now)
	case kind != "response.created" && kind != "response.updated" && kind != "response.deleted":
		return nil, nil
	}
	if status, _ := data["status"].(string); status != "submitted" {
		return nil, nil // a draft, or discarded
	}
	record, _ := data["record"].(map[string]any)
	e := watch.Event{}
	var err error
	if e.Item, err = recordID(record); err != nil {
		return nil, err
	}
	if e.Text, err = d.readText(argillaText(d, data, record)); err != nil {
		return nil, err
	}
	values, _ := data["values"].(map[string]any)
	labels := map[string]any{}
	for question, v := range values {
		if _, ok := d.targets[question]; !ok {
			if d.onlyTarget == "" || len(values) > 1 {
				continue
			}
			question = d.onlyTarget
		}
		value, _ := v.(map[string]any)
		labels[question] = value["value"]
		if kind == "response.deleted" {
			labels[question] = nil
		}
	}
	if len(labels) == 0 {
		return nil, fmt.Errorf("no question has the name of a target (%s)", d.names())
	}
	if err := d.readLabels(map[string]any{"labels": labels}, &e); err != nil {
		return nil, err
	}
	if name, ok := find(data, "user.username"); ok {
		e.Author = author(name)
	}
	e.At, err = d.eventTime(map[string]any{d.at: data["updated_at"]}, now)
	return []watch.Event{e}, err
}

// argillaText is where the text is read from: the record's fields, or the paths that the configuration names.
func argillaText(d *Decoder, data, record map[string]any) map[string]any {
	if d.text == nil {
		return map[string]any{"text": onlyTexts(record["fields"])}
	}
	for _, path := range d.text {
		if !strings.Contains(path, ".") { // fields by their own names
			fields, _ := record["fields"].(map[string]any)
			return fields
		}
	}
	return map[string]any{"data": data}
}

func recordID(record map[string]any) (string, error) {
	if external, ok := record["external_id"]; ok && external != nil {
		return itemID(record, "external_id")
	}
	return itemID(record, "id")
}

func (d *Decoder) recordDeleted(data map[string]any, now time.Time) ([]watch.Event, error) {
	id, err := recordID(data)
	if err != nil {
		return nil, err
	}
	return []watch.Event{{Item: id, Delete: true, At: now}}, nil
}
