package daemon

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// outbox makes the store's outbox a notify.Outbox.
type outbox struct{ store *store.Store }

// Pending implements notify.Outbox.
func (o outbox) Pending(ctx context.Context, limit int) ([]notify.OutboxEntry, error) {
	var out []notify.OutboxEntry
	err := o.store.View(ctx, func(t *store.Tx) error {
		waiting, err := t.Waiting(limit)
		for _, n := range waiting {
			out = append(out, notify.OutboxEntry{ID: n.ID, Subject: n.Subject, Body: n.Body, Key: n.Key})
		}
		return err
	})
	if len(out) > 0 {
		faults.Point("publish")
	}
	return out, err
}

// MarkPublished implements notify.Outbox.
func (o outbox) MarkPublished(ctx context.Context, ids []string) error {
	return o.store.Update(ctx, "published", func(t *store.Tx) error { return t.Published(ids, time.Now()) })
}

// connectBroker starts the embedded broker or connects to the configured one. It is an error if the embedded broker's
// address is in use. An unreachable configured broker is not an error, because events wait in the outbox.
func (d *Daemon) connectBroker(down *teardown) (*nats.Conn, error) {
	c := &d.loaded.Load().File.NATS
	name := "retraind/" + d.host + "/" + d.o.Version
	if !c.UsesEmbedded() {
		nc, err := notify.Connect(c, name, d.log)
		if err == nil {
			down.add("nats", 5*time.Second, func(context.Context) error { nc.Close(); return nil })
		}
		return nc, err
	}
	o, err := c.EmbeddedOptions(filepath.Join(d.store.Dir(), "nats"), d.host, d.log.With("component", "broker"))
	if err != nil {
		return nil, err
	}
	o.Clients = d.natsClients()
	o.Refused = func(what string) { d.countRefused("nats", what) }
	broker, err := notify.StartEmbedded(o)
	if err != nil {
		return nil, err
	}
	down.add("broker", 10*time.Second, func(context.Context) error { broker.Shutdown(); return nil })
	return broker.Conn(), nil
}

// natsClients returns the rights of external programs at the embedded broker. Their credential is written into the
// state directory and beside the control socket.
func (d *Daemon) natsClients() *notify.Clients {
	file := d.loaded.Load().File
	c := &notify.Clients{KeyFiles: []string{filepath.Join(d.store.Dir(), notify.ClientKeyFile)}}
	if beside := filepath.Join(filepath.Dir(file.Socket), notify.ClientKeyFile); beside != c.KeyFiles[0] {
		c.KeyFiles = append(c.KeyFiles, beside)
	}
	if file.NATS.Requests != notify.RequestsOff {
		c.Publish = append(c.Publish, status.ServiceRoot+".>")
	}
	for _, name := range file.Names() {
		labels := file.Models[name].Labels.NATS
		if labels == nil {
			continue
		}
		if subject := labels.WithDefaults(name).Subject; !slices.Contains(c.Publish, subject) {
			c.Publish = append(c.Publish, subject)
		}
	}
	return c
}
