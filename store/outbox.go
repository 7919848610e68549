package store

import "time"

// Notification is one document to be published, or already published. Each time it is sent, its ID is the same.
type Notification struct {
	N         int64
	ID        string
	Kind      string
	Model     string
	Subject   string
	Key       string // key under which the document is also stored in the models bucket; may be ""
	Body      []byte
	Created   time.Time
	Published time.Time
}

// Notify adds a notification to the outbox, in the transaction of the state change that it reports. A second one with
// the same id is ignored.
func (t *Tx) Notify(n Notification) error {
	t.notified = true
	return t.exec(`insert into outbox (id, kind, model, subject, key, body, created) values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do nothing`,
		n.ID, n.Kind, n.Model, n.Subject, n.Key, string(n.Body), stamp(n.Created))
}

// Waiting returns up to limit unpublished notifications in order.
func (t *Tx) Waiting(limit int) ([]Notification, error) {
	return t.notifications(`where published = '' order by n limit ?`, limit)
}

// Notifications returns up to limit notifications with numbers above n, published or not, in order.
func (t *Tx) Notifications(after int64, limit int) ([]Notification, error) {
	return t.notifications(`where n > ? order by n limit ?`, after, limit)
}

// LastNotification returns the number of the newest notification.
func (t *Tx) LastNotification() (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx, `select coalesce(max(n), 0) from outbox`).Scan(&n)
	return n, err
}

// CountWaiting counts the unpublished notifications.
func (t *Tx) CountWaiting() (int, error) {
	var n int
	err := t.tx.QueryRowContext(t.ctx, `select count(*) from outbox where published = ''`).Scan(&n)
	return n, err
}

// Published marks notifications as published, once the broker has acknowledged them.
func (t *Tx) Published(ids []string, now time.Time) error {
	for _, id := range ids {
		if err := t.exec(`update outbox set published = ? where id = ?`, stamp(now), id); err != nil {
			return err
		}
	}
	return nil
}

// PruneOutbox deletes notifications that were published before a time.
func (t *Tx) PruneOutbox(before time.Time) error {
	return t.exec(`delete from outbox where published <> '' and published < ?`, stamp(before))
}

func (t *Tx) notifications(where string, args ...any) ([]Notification, error) {
	var out []Notification
	err := t.each(`select n, id, kind, model, subject, key, body, created, published from outbox `+where, args,
		func(scan func(...any) error) error {
			var n Notification
			var body, created, published string
			if err := scan(&n.N, &n.ID, &n.Kind, &n.Model, &n.Subject, &n.Key, &body, &created, &published); err != nil {
				return err
			}
			n.Body, n.Created, n.Published = []byte(body), unstamp(created), unstamp(published)
			out = append(out, n)
			return nil
		})
	return out, err
}
