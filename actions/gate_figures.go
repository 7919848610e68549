package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/store"
)

// FigureFloor limits a measurement of a step.
type FigureFloor struct {
	// AtLeast is the smallest accepted value, for a figure of which more is better.
	AtLeast *float64 `yaml:"at_least"`
	// AtMost is the largest accepted value, for a figure of which less is better.
	AtMost *float64 `yaml:"at_most"`
	// Margin is how much worse than the champion's figure it may be; without a margin it is not compared with the
	// champion's.
	Margin *float64 `yaml:"margin"`
}

// validate checks the bounds. A margin can be combined with only one bound, which says whether larger or smaller is
// better; without a bound, larger is better.
func (f FigureFloor) validate(p *check.Problems, here string) {
	switch {
	case f.AtLeast == nil && f.AtMost == nil && f.Margin == nil:
		p.Errorf(here, "write at_least, at_most or margin", "the figure has no bound")
	case f.AtLeast != nil && f.AtMost != nil && *f.AtLeast > *f.AtMost:
		p.Errorf(here+".at_least", "swap the values of at_least and at_most", "at_least %g is above at_most %g", *f.AtLeast,
			*f.AtMost)
	case f.AtLeast != nil && f.AtMost != nil && f.Margin != nil:
		p.Errorf(here+".margin", "keep at_least or at_most",
			"with both bounds it is undefined whether a larger or a smaller figure is worse")
	}
	if f.Margin != nil && *f.Margin < 0 {
		p.Errorf(here+".margin", "write 0 or a number above it", "margin %g is negative", *f.Margin)
	}
}

// judgeFigures applies the bounds of promote.figures to the figures of a candidate and of its champion. It is pure.
func judgeFigures(bounds map[string]FigureFloor, f GateFacts) (failing string, class store.StepState, why string) {
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		bound := bounds[name]
		value, ok := f.Figures[name]
		if !ok {
			return name, store.StepFailed,
				fmt.Sprintf("promote.figures: no step of the run wrote a figure %q; set result: FILE for the step that measures it",
					name)
		}
		former, compared := f.ChampionFigures[name]
		switch {
		case bound.AtLeast != nil && value < *bound.AtLeast:
			return name, store.StepRejected, fmt.Sprintf("figure %s is %s, at least %s is needed", name, number(value),
				number(*bound.AtLeast))
		case bound.AtMost != nil && value > *bound.AtMost:
			return name, store.StepRejected, fmt.Sprintf("figure %s is %s, at most %s is allowed", name, number(value),
				number(*bound.AtMost))
		case bound.Margin == nil || !compared:
		case bound.AtMost == nil && value < former-*bound.Margin, bound.AtMost != nil && value > former+*bound.Margin:
			return name, store.StepRejected,
				fmt.Sprintf("figure %s is %s, the champion's was %s: that is worse by more than the margin of %s", name,
					number(value), number(former), number(*bound.Margin))
		}
	}
	return "", store.StepOK, ""
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// championFigures returns the measurements of the run that trained the champion; nil if they are unknown.
func (x *Executor) championFigures(ctx context.Context, p Plan) (map[string]float64, error) {
	var g GateFacts
	if p.Champion == "" {
		return nil, nil
	}
	err := x.Store.View(ctx, func(t *store.Tx) error {
		r, err := t.Release(p.Model, p.Champion)
		if errors.Is(err, store.ErrNotFound) || err == nil && r.Metrics == "" {
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(r.Metrics), &g)
	})
	return g.Figures, err
}
