package evaluator

import (
	"context"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// repeatSample is the number of texts that are sent to a language model twice.
const repeatSample = 40

// measureRepeats sends the same texts to the champion twice, if the champion is a language model. This is done once
// after each promotion and each new measurement of the baseline. A sample, or the proof of the next release, cannot
// require a higher share of equal answers than is measured here.
func (l *Loop) measureRepeats(ctx context.Context, s *Serving) error {
	config := l.rules.Model.Serving.WithDefaults()
	if config.Ollama == nil || config.Recheck.HealthOnly || s.Repeats != nil {
		return nil
	}
	pool, err := l.recheckPool(ctx, s.Champion)
	if err != nil || len(pool) == 0 {
		return err
	}
	pool = pool[:min(len(pool), repeatSample)]
	texts := make([]serving.Text, len(pool))
	for i, x := range pool {
		texts[i] = x.text
	}
	first := map[string]serving.Answers{}
	if err := l.ask(ctx, texts, func(t serving.Text, a serving.Answer) { first[t.Item] = a.Values }); err != nil {
		return l.unanswered(ctx, err)
	}
	r := actions.Repeats{Asked: len(first)}
	if err := l.ask(ctx, texts, func(t serving.Text, a serving.Answer) {
		if first[t.Item].Agrees(a.Values) {
			r.Same++
		}
	}); err != nil {
		return l.unanswered(ctx, err)
	}
	s.Repeats = &r
	l.log.Info("measured how often the model repeats its answers", "texts", r.Asked, "same", r.Same)
	return l.saveServing(ctx, s)
}

// parity returns the required share of equal answers.
func (l *Loop) parity() float64 {
	configured := float64(l.rules.Model.Promote.WithDefaults().Parity)
	if l.rules.Model.Serving.Ollama == nil {
		return configured
	}
	var r actions.Repeats
	if l.serving != nil && l.serving.Repeats != nil {
		r = *l.serving.Repeats
	}
	return r.Parity(configured)
}

// promote returns the rules for judging and verifying a candidate, with the parity that this classifier can reach.
func (l *Loop) promote() actions.PromoteConfig {
	c := l.rules.Model.Promote
	if l.rules.Model.Serving.Ollama != nil {
		c.Parity = unit.Percent(l.parity())
	}
	return c
}
