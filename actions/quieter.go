package actions

import (
	"context"
	"log/slog"
)

// quieter takes the workflow engine's log one step down: what it is doing is for whoever looks into it, and its errors
// come back as errors, which are logged where they matter.
type quieter struct{ slog.Handler }

func quiet(l slog.Level) slog.Level { return l - (slog.LevelInfo - slog.LevelDebug) }

// Enabled implements slog.Handler.
func (q quieter) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, quiet(l))
}

// Handle implements slog.Handler.
func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = quiet(r.Level)
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }
