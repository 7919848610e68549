package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/natstest"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

const benchEvents = 2000

func benchStep(i int) notify.Step {
	return notify.Step{
		Run: "run", Step: fmt.Sprint("step ", i), Index: 1, Of: 5, State: "ok", Attempt: 1, Seconds: 1.5,
		Detail: "exit status 0 after 1.5s",
	}
}

// BenchmarkDrain publishes events from the store's outbox to the stream, and marks each once it is acknowledged.
func BenchmarkDrain(b *testing.B) {
	nats := natstest.Start(b)
	var total time.Duration
	for b.Loop() {
		s, err := store.Open(b.Context(), b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Update(b.Context(), "fill", func(t *store.Tx) error {
			for i := range benchEvents {
				if err := actions.Notify(t, "host", notify.RunStep, "m", "run", benchStep(i)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		total += drainAll(b, s, nats)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*benchEvents/total.Seconds(), "events/s")
}

// drainAll returns how long it takes until the outbox is empty.
func drainAll(b *testing.B, s *store.Store, server *natstest.Server) time.Duration {
	done := errors.New("all is published")
	ctx, stop := context.WithCancelCause(b.Context())
	start := time.Now()
	counted := &counting{outbox: outbox{s}, left: benchEvents, done: func() { stop(done) }}
	err := notify.NewDrain(counted, server.Connect(), slog.New(slog.DiscardHandler)).Run(ctx)
	took := time.Since(start)
	if !errors.Is(err, done) {
		b.Fatal(err)
	}
	return took
}

// counting calls done once left entries have been marked as published.
type counting struct {
	outbox
	left int
	done func()
}

func (c *counting) MarkPublished(ctx context.Context, ids []string) error {
	err := c.outbox.MarkPublished(ctx, ids)
	if c.left -= len(ids); c.left <= 0 {
		c.done()
	}
	return err
}

// BenchmarkPublish is the peer of BenchmarkDrain: the same documents published one by one, each acknowledged, none
// stored.
func BenchmarkPublish(b *testing.B) {
	conn := natstest.Start(b).Connect()
	js, err := jetstream.New(conn)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(),
		jetstream.StreamConfig{Name: "BENCH", Subjects: []string{notify.Subject("*", notify.RunStep)}}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for i := range benchEvents {
			e, err := notify.New(notify.RunStep, "m", "run", benchStep(i), time.Now())
			if err != nil {
				b.Fatal(err)
			}
			body, err := notify.Encode(e, "host")
			if err != nil {
				b.Fatal(err)
			}
			msg := &nats.Msg{
				Subject: notify.Subject("m", notify.RunStep), Data: body,
				Header: nats.Header{jetstream.MsgIDHeader: {e.ID}},
			}
			if _, err := js.PublishMsg(b.Context(), msg); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "events/s")
}
