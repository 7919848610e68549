package backend

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// Options are the dependencies of a Backend.
type Options struct {
	Store   *store.Store
	Models  []Model
	Hub     *Hub
	Loaded  func() *configs.Loaded // the present configuration
	Config  Config
	Host    string
	Version string
	Started time.Time
	Log     *slog.Logger
}

// Model has the parts that the daemon runs for one configured model.
type Model struct {
	Name   string
	Loop   *evaluator.Loop
	Intake *ingest.Intake
	// Changes wakes the loop after labels were stored.
	Changes *watch.Coalescer
}

// Config reloads the configuration, and reports the last reload.
type Config interface {
	Reload(ctx context.Context) error
	// Reloaded returns the state of the present configuration and of the last reload.
	Reloaded() status.Config
}

// Backend implements status.Backend.
type Backend struct{ o Options }

var _ status.Backend = (*Backend)(nil)

// New returns a backend.
func New(o Options) *Backend { return &Backend{o} }

func (b *Backend) model(name string) (Model, error) {
	for _, m := range b.o.Models {
		if m.Name == name {
			return m, nil
		}
	}
	configured := strings.Join(b.o.Loaded().File.Names(), ", ")
	return Model{}, fmt.Errorf("%w: no model %q is configured; configured: %s", status.ErrNotFound, name, configured)
}

// Evaluate implements status.Backend.
func (b *Backend) Evaluate(ctx context.Context, model string) (drift.Report, error) {
	m, err := b.model(model)
	if err != nil {
		return drift.Report{}, err
	}
	return m.Loop.EvaluateNow(ctx)
}

// Subscribe implements status.Reader.
func (b *Backend) Subscribe(ctx context.Context) <-chan status.Event { return b.o.Hub.Follow(ctx) }

// Reload implements status.Backend.
func (b *Backend) Reload(ctx context.Context) error { return b.o.Config.Reload(ctx) }

// Sentence returns the state of all models in one line, for systemctl status.
func (b *Backend) Sentence() string {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	s, err := b.Snapshot(ctx)
	if err != nil {
		return "running; the state of the models cannot be read: " + err.Error()
	}
	var parts []string
	for _, m := range s.Models {
		parts = append(parts, m.Name+": "+m.Sentence)
	}
	return strings.Join(parts, "; ")
}
