package daemon

import (
	"log/slog"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/postgres"
)

// NewSink returns the writer of a model, for tests that follow a table without the rest of a daemon.
func NewSink(s *store.Store, model string) watch.Sink {
	split := drift.NewSplit(drift.HeldoutConfig{Share: unit.Percent(0.2)}, []byte("pepper"), nil)
	return ingest.NewWriter(s, model, []serving.Target{{Name: postgres.DefaultTarget}}, split, slog.New(slog.DiscardHandler))
}
