package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// PostgresSource follows the label changes of one table. It implements Source.
type PostgresSource struct {
	model  string
	cfg    *Postgres
	schema *schema
	sink   Sink
	poke   func(n int)
	log    *slog.Logger
	retry  chan struct{}

	// patience is how long a transaction may hold its changes back before people are told.
	patience time.Duration

	mu     sync.Mutex // guards the fields below
	health Health
	late   string // notice: a transaction that is open for long
	pooled string // notice: changes are polled for, since the connection is pooled
}

var _ Source = (*PostgresSource)(nil)

// NewPostgres returns the source of a model's table. poke is called after each stored batch with the number of
// changes; it must not block.
func NewPostgres(model string, cfg *Postgres, sink Sink, poke func(n int), log *slog.Logger) (*PostgresSource, error) {
	schema, err := newSchema(model, cfg)
	if err != nil {
		return nil, err
	}
	return &PostgresSource{
		model: model, cfg: cfg, schema: schema, sink: sink, poke: poke,
		log: log.With("component", "watch", "model", model, "source", "postgres"), retry: make(chan struct{}, 1),
		health: Health{Since: time.Now()}, patience: longTransaction,
	}, nil
}

// Name implements Source.
func (s *PostgresSource) Name() string { return "postgres" }

// Health implements Source.
func (s *PostgresSource) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health
	for _, notice := range []string{s.late, s.pooled} {
		if notice != "" && h.Notice != "" {
			h.Notice += "; "
		}
		h.Notice += notice
	}
	return h
}

// notice sets one of the source's notices, and logs it when it is new.
func (s *PostgresSource) notice(which *string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *which == "" && text != "" {
		s.log.Warn("label changes come late", "reason", text)
	}
	*which = text
}

// Retry makes a source that waits after trouble try again now.
func (s *PostgresSource) Retry() {
	select {
	case s.retry <- struct{}{}:
	default:
	}
}

// Probe connects once and reports as a *Fault whatever would keep Run from following the table.
func (s *PostgresSource) Probe(ctx context.Context) error {
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

// permanentPause is how long the source rests after trouble that waiting does not mend.
const permanentPause = time.Minute

// Run implements Source. It ends with ctx only.
func (s *PostgresSource) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		err := s.follow(ctx, pause.Reset)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue // the table was changed: look at it anew
		}
		s.down(err)
		backOff(ctx, pause, err, s.retry)
	}
}

// follow lives as long as one connection. well is called once the source is up.
func (s *PostgresSource) follow(ctx context.Context, well func()) error {
	switch s.cfg.capture() {
	case CaptureLogical:
		return s.followLogical(ctx, well)
	case CapturePoll:
		return s.followPoll(ctx, well)
	}
	session, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer session.close()
	guarded, release := guard(ctx, s.cfg, session.conn)
	defer release()
	err = session.run(guarded, well)
	if cause := context.Cause(guarded); ctx.Err() == nil && cause != nil {
		err = cause
	}
	return explain(s.cfg, err)
}

// run reads what was missed and follows until the connection ends.
func (c *session) run(ctx context.Context, well func()) error {
	if err := c.resume(ctx); err != nil {
		return err
	}
	c.up()
	well()
	if c.shared {
		return c.pollPooled(ctx)
	}
	c.notice(&c.pooled, "")
	return c.listen(ctx)
}

func (s *PostgresSource) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.health.Up {
		s.log.Info("following label changes", "table", s.schema.table)
		s.health = Health{Up: true, Since: time.Now(), Notice: s.health.Notice, LastEvent: s.health.LastEvent}
	}
}

// down keeps the trouble for Health and logs it when it is another than before.
func (s *PostgresSource) down(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.Up {
		s.health.Up, s.health.Since = false, time.Now()
	}
	if text := redact(err); s.health.Error != text {
		s.health.Error = text
		s.log.Warn("label changes wait in the database", "err", text)
	}
}

func (s *PostgresSource) arrived(n int) {
	s.mu.Lock()
	s.health.LastEvent = time.Now()
	s.mu.Unlock()
	if s.poke != nil {
		s.poke(n)
	}
}
