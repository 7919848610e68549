package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// OutboxEntry is a document to be published.
type OutboxEntry struct {
	ID      string // becomes Nats-Msg-Id
	Subject string
	Body    []byte
	Key     string // key under which the document is also stored in the bucket, or ""
}

// Outbox stores events together with their state changes. The daemon implements it over its store.
type Outbox interface {
	// Pending returns up to limit unpublished entries, the oldest first.
	Pending(ctx context.Context, limit int) ([]OutboxEntry, error)
	// MarkPublished marks entries that the stream acknowledged.
	MarkPublished(ctx context.Context, ids []string) error
}

// Health is the state of the drain, for status and metrics.
type Health struct {
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
	// Error is the last error; empty while up.
	Error string `json:"error,omitempty"`
	// Published counts the events that were acknowledged, and marked in the outbox, since the start.
	Published int64 `json:"published"`
	// LastPublished is when Published last grew.
	LastPublished time.Time `json:"last_published,omitzero"`
}

const (
	batchSize  = 64
	ackTimeout = 5 * time.Second
	// lookEvery is the interval of reads without a Poke, as a safety net.
	lookEvery = 30 * time.Second
)

// Drain publishes the outbox to JetStream, in order, each entry at least once.
type Drain struct {
	outbox Outbox
	conn   *nats.Conn
	log    *slog.Logger
	poke   chan struct{}

	mu     sync.Mutex // guards health
	health Health
}

// NewDrain returns a drain that publishes on conn. The drain does not close conn.
func NewDrain(outbox Outbox, conn *nats.Conn, log *slog.Logger) *Drain {
	return &Drain{
		outbox: outbox, conn: conn, log: log.With("component", "drain"), poke: make(chan struct{}, 1),
		health: Health{Since: time.Now(), Error: "not started"},
	}
}

// Poke reports that the outbox may have new entries. It never blocks.
func (d *Drain) Poke() {
	select {
	case d.poke <- struct{}{}:
	default:
	}
}

// Health returns the current state; it is safe for concurrent use.
func (d *Drain) Health() Health {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.health
}

// Run publishes until ctx ends, and returns the cause of ctx's end. After errors it retries forever.
func (d *Drain) Run(ctx context.Context) error {
	js, err := jetstream.New(d.conn)
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	// Retry at once after a reconnect instead of waiting for the back-off.
	connected := d.conn.StatusChanged(nats.CONNECTED)
	defer d.conn.RemoveStatusListener(connected)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 10*time.Second
	var bucket jetstream.KeyValue
	for {
		wait := lookEvery
		if bucket == nil {
			bucket, err = d.assets(ctx, js)
		}
		if err == nil {
			err = d.flush(ctx, js, bucket)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.report(err)
		if err != nil {
			// Find the bucket again, because the server may have been replaced.
			bucket, err, wait = nil, nil, pause.NextBackOff()
		} else {
			pause.Reset()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-connected:
		case <-timer.C:
		case <-d.pokes(bucket != nil):
		}
		timer.Stop()
	}
}

// pokes returns the channel of pokes, or nil while publishing fails, because a busy outbox must not bypass the
// back-off.
func (d *Drain) pokes(well bool) <-chan struct{} {
	if well {
		return d.poke
	}
	return nil
}

func (d *Drain) assets(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	if status := d.conn.Status(); status != nats.CONNECTED {
		return nil, fmt.Errorf("nats is %s", strings.ToLower(status.String()))
	}
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	return Assets(ctx, js, d.log)
}

// flush publishes until the outbox is empty or an entry cannot be published.
func (d *Drain) flush(ctx context.Context, js jetstream.JetStream, bucket jetstream.KeyValue) error {
	for {
		entries, err := d.outbox.Pending(ctx, batchSize)
		if err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		var done []string
		for i, e := range entries {
			if err = d.publish(ctx, js, bucket, e, entries[i+1:]); err != nil {
				break
			}
			done = append(done, e.ID)
		}
		if len(done) > 0 {
			if err := d.outbox.MarkPublished(ctx, done); err != nil {
				return fmt.Errorf("mark events in the outbox as published: %w", err)
			}
			d.count(len(done))
		}
		if err != nil || len(entries) < batchSize {
			return err
		}
	}
}

// publish sends one entry and waits until it is stored. Publishing an entry twice is harmless: the stream drops the
// duplicate within its duplicate window, and the bucket is not written if it has the document or one of the later ones,
// the entries that follow in the outbox.
func (d *Drain) publish(ctx context.Context, js jetstream.JetStream, bucket jetstream.KeyValue, e OutboxEntry,
	later []OutboxEntry,
) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	msg := nats.NewMsg(e.Subject)
	msg.Data = e.Body
	msg.Header.Set("Content-Type", ContentType)
	if _, err := js.PublishMsg(ctx, msg, jetstream.WithMsgID(e.ID), jetstream.WithExpectStream(Stream)); err != nil {
		return fmt.Errorf("publish %s: %w", e.Subject, err)
	}
	if e.Key == "" {
		return nil
	}
	if err := put(ctx, bucket, e, later); err != nil {
		return fmt.Errorf("write bucket entry %s: %w", e.Key, err)
	}
	return nil
}

// put writes the document into the bucket. It first copies the old content of "<model>.current" to "<model>.previous".
func put(ctx context.Context, bucket jetstream.KeyValue, e OutboxEntry, later []OutboxEntry) error {
	old, err := bucket.Get(ctx, e.Key)
	has := func(other OutboxEntry) bool { return other.Key == e.Key && bytes.Equal(other.Body, old.Value()) }
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
	case err != nil:
		return err
	case has(e) || slices.ContainsFunc(later, has):
		return nil
	default:
		if model, current := strings.CutSuffix(e.Key, ".current"); current {
			if _, err := bucket.Put(ctx, model+".previous", old.Value()); err != nil {
				return err
			}
		}
	}
	_, err = bucket.Put(ctx, e.Key, e.Body)
	return err
}

// report updates the health, and logs an error if it differs from the previous one.
func (d *Drain) report(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if d.health.Up == (err == nil) && d.health.Error == text {
		return
	}
	if d.health.Up != (err == nil) {
		d.health.Since = time.Now()
	}
	if err != nil {
		d.log.Warn("events cannot be published; they stay in the outbox", "err", err)
	} else {
		d.log.Info("events are published")
	}
	d.health.Up, d.health.Error = err == nil, text
}

func (d *Drain) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health.Published += int64(n)
	d.health.LastPublished = time.Now()
}
