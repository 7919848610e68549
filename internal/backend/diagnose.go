package backend

import (
	"context"
	"fmt"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/status"
)

// Diagnose implements status.Reader.
func (b *Backend) Diagnose(ctx context.Context, model string) (drift.Diagnosis, error) {
	m, err := b.model(model)
	if err != nil {
		return drift.Diagnosis{}, err
	}
	v := m.Loop.View()
	if v.Report == nil {
		return drift.Diagnosis{}, fmt.Errorf("%w: model %s has not been evaluated yet", status.ErrNotFound, model)
	}
	return evaluator.Diagnose(ctx, b.o.Store, model, v)
}
