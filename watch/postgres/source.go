// Package postgres follows the label changes of one table, reads and exports the table, and writes labels into it.
//
// There are three captures: an outbox filled by triggers (sql_*.go install it, outbox_*.go read it), logical decoding
// of the server's log (logical_*.go), and polling by a watermark column (poll_*.go). The package contains the SQL of
// all three (schema retraind in the watched database), their positions, the checks of a table (inspect_*.go), full
// reads (table_read.go), the export (export.go) and the writing of labels (label_write.go). A Source runs in one
// goroutine and opens its own connections; Health and Retry are safe for concurrent use. A Source never writes to the
// watched table and never acts on the content of a notification; after each connect it continues from the position that
// the Sink stored.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/retraind/retraind/watch"
)

// Source follows the label changes of one table. It implements watch.Source.
type Source struct {
	*watch.Retrier
	model  string
	cfg    *Config
	schema *schema
	sink   watch.Sink

	// warnAfter is the age from which Health.Notice reports a transaction with uncommitted label changes.
	warnAfter time.Duration

	// otherSpelling means that stored items may have keys in an older text form.
	otherSpelling bool

	mu     sync.Mutex // guards the fields below
	late   string     // notice: a transaction has been open for long
	pooled string     // notice: the outbox is polled, because the connection goes through a pooler
	missed string     // notice: some changes are missed
}

var _ watch.Source = (*Source)(nil)

// New returns the source of a model's table. poke is called after each batch in which changes were stored, with their
// number, and after each full read; it must not block.
func New(model string, cfg *Config, sink watch.Sink, poke func(n int), log *slog.Logger) (*Source, error) {
	schema, err := newSchema(model, cfg)
	if err != nil {
		return nil, err
	}
	return &Source{
		Retrier: watch.NewRetrier(model, watch.SourcePostgres, poke, log.With("table", schema.table)),
		model:   model, cfg: cfg, schema: schema, sink: sink, warnAfter: longTransaction,
	}, nil
}

// Name implements watch.Source.
func (s *Source) Name() string { return watch.SourcePostgres }

// Health implements watch.Source.
func (s *Source) Health() watch.Health {
	h := s.Retrier.Health()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, notice := range []string{s.late, s.pooled, s.missed} {
		if notice != "" && h.Notice != "" {
			h.Notice += "; "
		}
		h.Notice += notice
	}
	return h
}

// notice sets one of the source's notices, and logs it if there was none before.
func (s *Source) notice(which *string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *which == "" && text != "" {
		s.Log.Warn("label changes are delayed or missed", "reason", text)
	}
	*which = text
}

// Probe connects once and returns a *Fault if anything would prevent Run from following the table.
func (s *Source) Probe(ctx context.Context) error {
	switch s.cfg.capture() {
	case CaptureLogical, CapturePoll:
		return s.probe(ctx)
	}
	session, err := s.connect(ctx)
	if err != nil {
		return err
	}
	session.close()
	return nil
}

// Run implements watch.Source. It ends only with ctx.
func (s *Source) Run(ctx context.Context) error {
	return s.RunWithRetry(ctx, s.follow)
}

// follow follows the table until a connection breaks. It calls onUp once the source is up.
func (s *Source) follow(ctx context.Context, onUp func()) error {
	switch s.cfg.capture() {
	case CaptureLogical:
		return s.followLogical(ctx, onUp)
	case CapturePoll:
		return s.followPoll(ctx, onUp)
	}
	session, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer session.close()
	return guard(ctx, s.cfg, session.conn, func(ctx context.Context) error { return session.run(ctx, onUp) })
}

// run reads the changes that were missed, then follows the table until the connection breaks.
func (c *session) run(ctx context.Context, onUp func()) error {
	if err := c.resume(ctx); err != nil {
		return err
	}
	onUp()
	if c.transactionPooled {
		c.notice(&c.pooled, fmt.Sprintf("a connection pooler in transaction mode drops notifications, so retraind polls for changes every %s; name the server itself, or a pool in session mode, in %s",
			c.silentInterval(), c.cfg.dsnPlace()))
		return c.pollSilent(ctx)
	}
	c.notice(&c.pooled, "")
	if !c.cfg.notifies() {
		return c.pollSilent(ctx)
	}
	return c.listen(ctx)
}
