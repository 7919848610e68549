package daemon

import (
	"log/slog"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/postgres"
)

// NewSink is the sink of a model, for tests that follow a table without the rest of a daemon.
func NewSink(s *store.Store, model string) watch.Sink {
	k := &sink{store: s, model: model, targets: []serving.Target{{Name: postgres.DefaultTarget}}, log: slog.New(slog.DiscardHandler)}
	k.split.Store(drift.NewSplit(drift.HeldoutConfig{Share: unit.Percent(0.2)}, []byte("pepper"), nil))
	return k
}
