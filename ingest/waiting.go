package ingest

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// keepWaiting buffers the labels of an event for an unknown item, merged with the labels that are already buffered for
// it. If the event deletes the item, keepWaiting deletes the buffered labels instead.
func (x *transaction) keepWaiting(e watch.Event) error {
	if e.Delete {
		return x.t.ForgetEarly(x.model, e.Item)
	}
	before, err := x.t.Early(x.model, e.Item)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	default:
		var was watch.Event
		if err := json.Unmarshal(before.Event, &was); err != nil {
			return err
		}
		labels := mergeLabels(was.Labels, e.Labels, e.Unset)
		for _, target := range was.Unset {
			if _, set := e.Labels[target]; !set && !slices.Contains(e.Unset, target) {
				e.Unset = append(slices.Clone(e.Unset), target)
			}
		}
		e.Labels = labels
	}
	x.waiting++
	encoded, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return x.t.PutEarly(x.model, e.Item, store.Early{Source: x.source, Event: encoded}, x.now)
}

// applyWaiting applies the labels that were buffered for a new item, and deletes them from the buffer.
func (x *transaction) applyWaiting(item string) error {
	if x.waiting == 0 {
		return nil
	}
	early, err := x.t.Early(x.model, item)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	var e watch.Event
	if err == nil {
		err = json.Unmarshal(early.Event, &e)
	}
	if err != nil {
		return err
	}
	if err := x.t.ForgetEarly(x.model, item); err != nil {
		return err
	}
	old, known, err := x.batch.item(item)
	if err != nil || !known {
		return err
	}
	e.Key = "" // its key was stored on arrival
	mine := x.source
	x.source = early.Source
	defer func() { x.source = mine }()
	return x.changeItem(e, old, known)
}
