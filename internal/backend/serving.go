package backend

import (
	"context"
	"errors"
	"fmt"

	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
)

// Verify implements status.Serving.
func (b *Backend) Verify(ctx context.Context, model string) (status.Served, error) {
	m, err := b.model(model)
	if err != nil {
		return status.Served{}, err
	}
	if _, err := m.Loop.EvaluateNow(ctx); err != nil {
		return status.Served{}, err
	}
	if s := served(m.Loop.View()); s != nil {
		return *s, nil
	}
	return status.Served{State: status.ServedUnknown, Text: "no release is deployed yet, so there is nothing to prove"}, nil
}

// Adopt implements status.Serving.
func (b *Backend) Adopt(ctx context.Context, model, by string) (status.Done, error) {
	return b.settle(ctx, model, by, (*evaluator.Loop).Adopt)
}

// Redeploy implements status.Serving.
func (b *Backend) Redeploy(ctx context.Context, model, by string) (status.Done, error) {
	return b.settle(ctx, model, by, (*evaluator.Loop).Redeploy)
}

func (b *Backend) settle(ctx context.Context, model, by string,
	do func(*evaluator.Loop, context.Context, string) (string, error),
) (status.Done, error) {
	m, err := b.model(model)
	if err != nil {
		return status.Done{}, err
	}
	text, err := do(m.Loop, ctx, by)
	var refused *evaluator.RefusedError
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w: %s", status.ErrRefused, refused.Why)
	}
	return status.Done{Text: text}, refusal(err)
}

// served returns the state of the service, nil before the first check.
func served(v evaluator.View) *status.Served {
	s := v.Serving
	if s == nil {
		return nil
	}
	if f := s.Foreign; f != nil {
		return &status.Served{State: status.ServedForeign, Proved: s.Proved, Since: f.Since, As: f.As, Text: f.Text}
	}
	out := &status.Served{
		State: status.ServedProved, Proved: s.Proved,
		Text:   "the service gives the answers of the champion, " + text.Digest(s.Champion),
		Notice: s.OffGPU,
	}
	switch {
	case v.Barred != "":
		out.State, out.Text = status.ServedUnknown, "the classifier is not queried: "+v.Barred
	case v.ServiceTrouble != "":
		out.State, out.Text = status.ServedUnknown, "the service did not answer: "+v.ServiceTrouble
	}
	return out
}
