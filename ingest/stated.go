package ingest

import (
	"slices"
	"time"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// gone is the value of Stated.Label for an item that the sender has deleted.
const gone = "gone"

// inOrder removes from an event each part (the text, the label of a target) about which a newer event of the same
// source is already stored. It stores the time of each remaining part, and returns the event with only these parts, or
// nil if nothing remains. An event that has no sender's time, no subject and no alias is returned unchanged.
func (x *transaction) inOrder(e watch.Event) (*watch.Event, error) {
	if !e.Ordered && e.Subject == "" && e.Alias == "" {
		return &e, nil
	}
	if e.Delete {
		return x.deleteInOrder(e)
	}
	item, err := x.t.StatedOf(x.model, x.source, e.Item, "")
	if err != nil {
		return nil, err
	}
	if item.Label == gone && older(e, item.At) {
		return nil, nil
	}
	if e.Subject != "" {
		withdrawn, err := x.t.StatedOf(x.model, x.source, "", e.Subject)
		if err != nil || !withdrawn.At.IsZero() && older(e, withdrawn.At) {
			return nil, err
		}
	}
	said := e.Text != nil || len(e.Labels)+len(e.Unset) > 0
	if e.Labels, e.Unset, err = x.newerLabels(e); err != nil {
		return nil, err
	}
	switch {
	case e.Text != nil && older(e, item.At):
		e.Text = nil
	case e.Text != nil:
		err = x.state(store.Stated{Item: e.Item, At: e.At, Subject: e.Alias})
	case item.Subject == "" && e.Alias != "": // At stays zero, so that a later text is accepted whatever its time
		err = x.state(store.Stated{Item: e.Item, Subject: e.Alias})
	}
	if err != nil {
		return nil, err
	}
	if e.Text == nil && said && len(e.Labels)+len(e.Unset) == 0 {
		return nil, nil
	}
	return &e, nil
}

// newerLabels returns those labels and unset targets of an event about which no newer event is stored, and stores the
// event's time for each of them. An event with a subject replaces all earlier events with that subject, so unset also
// lists the targets that only the earlier events labelled.
func (x *transaction) newerLabels(e watch.Event) (labels watch.Labels, unset []string, err error) {
	newer := func(target, label string) bool {
		var before store.Stated
		if before, err = x.t.StatedOf(x.model, x.source, e.Item, target); err != nil || older(e, before.At) {
			return false
		}
		err = x.state(store.Stated{Item: e.Item, Target: target, At: e.At, Subject: e.Subject, Label: label})
		return err == nil
	}
	for target, label := range e.Labels {
		if newer(target, label) {
			if labels == nil {
				labels = watch.Labels{}
			}
			labels[target] = label
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for _, target := range e.Unset {
		if newer(target, "") {
			unset = append(unset, target)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if e.Subject == "" {
		return labels, unset, nil
	}
	before, err := x.t.StatedBy(x.model, x.source, e.Subject)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range before {
		_, named := e.Labels[s.Target]
		if s.Item != e.Item || s.Target == "" || named || slices.Contains(e.Unset, s.Target) {
			continue
		}
		taken, err := x.takeBack(e, s)
		if err != nil {
			return nil, nil, err
		}
		if taken {
			unset = append(unset, s.Target)
		}
	}
	return labels, unset, nil
}

// takeBack records that the event withdraws the label in s, and reports whether this label must be removed from the
// item. If s has no label, or one that is newer than the event, it does nothing and returns false. For an unknown item
// it returns true, because the label may be buffered.
func (x *transaction) takeBack(e watch.Event, s store.Stated) (bool, error) {
	if s.Label == "" || older(e, s.At) {
		return false, nil
	}
	it, known, err := x.batch.item(s.Item)
	if err != nil {
		return false, err
	}
	label := s.Label
	s.At, s.Label = e.At, ""
	return !known || it.Labels[s.Target] == label, x.state(s)
}

// withdraw removes the labels that the event's subject has set. It leaves alone each target whose label has changed
// since, or was set by a newer event.
func (x *transaction) withdraw(e watch.Event, r *watch.Receipt) error {
	if err := x.state(store.Stated{Target: e.Subject, At: e.At, Subject: e.Subject}); err != nil {
		return err
	}
	before, err := x.t.StatedBy(x.model, x.source, e.Subject)
	if err != nil {
		return err
	}
	unset := map[string][]string{}
	var items []string
	for _, s := range before {
		if s.Target == "" {
			continue
		}
		taken, err := x.takeBack(e, s)
		if err != nil {
			return err
		}
		if taken {
			if unset[s.Item] == nil {
				items = append(items, s.Item)
			}
			unset[s.Item] = append(unset[s.Item], s.Target)
		}
	}
	for i, item := range items {
		sub := watch.Event{Item: item, Unset: unset[item], At: e.At, Author: e.Author}
		if i == 0 {
			sub.Key = e.Key
		}
		if err := x.apply(sub, r); err != nil {
			return err
		}
		r.Taken++
	}
	return nil
}

// deleteInOrder looks up the item to delete, by the sender's alias if the event has one, and records the deletion. It
// returns nil if the item is unknown, or if the event is older than the item's stored text or deletion.
func (x *transaction) deleteInOrder(e watch.Event) (*watch.Event, error) {
	if e.Alias != "" {
		before, err := x.t.StatedBy(x.model, x.source, e.Alias)
		if err != nil {
			return nil, err
		}
		if len(before) > 0 {
			e.Item = before[0].Item
		}
	}
	if e.Item == "" {
		return nil, nil // the item is unknown
	}
	item, err := x.t.StatedOf(x.model, x.source, e.Item, "")
	if err != nil || older(e, item.At) {
		return nil, err
	}
	return &e, x.state(store.Stated{Item: e.Item, At: e.At, Subject: e.Alias, Label: gone})
}

// state stores the newest event about an item's target. The stored time never decreases, even if the sender's clock
// does.
func (x *transaction) state(s store.Stated) error {
	before, err := x.t.StatedOf(x.model, x.source, s.Item, s.Target)
	if err != nil {
		return err
	}
	if before.At.After(s.At) {
		s.At = before.At
	}
	return x.t.State(x.model, x.source, s)
}

// older reports whether an event is older than the given time. An event without the sender's time never is. Times are
// compared in microseconds, because stored times have that precision.
func older(e watch.Event, than time.Time) bool {
	return e.Ordered && e.At.Truncate(time.Microsecond).Before(than)
}
