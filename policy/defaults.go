package policy

import (
	"time"

	"github.com/retraind/retraind/internal/unit"
)

const day = 24 * time.Hour

// Defaults is the configuration that holds where nothing is written. No condition is a default: what arms a retrain
// has to be written down. A condition that is written without its numbers takes those below.
func Defaults() Config {
	return Config{
		Evaluate: Evaluate{
			Every:        unit.Duration(time.Hour),
			AfterChanges: 25,
			Debounce:     unit.Duration(5 * time.Second),
			MaxWait:      unit.Duration(time.Minute),
			MinItems:     200,
		},
		Limits: Limits{
			Cooldown: unit.Duration(day),
			Budget:   unit.Rate{Count: 3, Per: unit.Duration(7 * day)},
			Breaker:  3,
			Reserve:  unit.Duration(5 * time.Minute),

			SuspiciousLabels: SuspiciousHold,
		},
	}
}

// SetDefaults fills in Defaults.
func (c *Config) SetDefaults() { *c = Defaults() }

// SetDefaults: three points, and one false retrain in half a year.
func (a *AccuracyDrop) SetDefaults() { *a = a.defaults() }

func (AccuracyDrop) defaults() AccuracyDrop {
	return AccuracyDrop{Points: 3, FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * day)}, Test: TestECUSUM}
}

// SetDefaults: no floor, which Validate refuses: one has to be written.
func (a *AccuracyBelow) SetDefaults() { a.Share = -1 }

// SetDefaults: five points.
func (m *MacroF1Drop) SetDefaults() { m.Points = 5 }

// SetDefaults: categories with fewer than 30 held-out items are not judged.
func (c *CategoryRecall) SetDefaults() { c.MinItems = 30 }

// SetDefaults: ten points in a category with 30 items or more, and one false retrain in half a year.
func (c *CategoryRecallDrop) SetDefaults() {
	*c = CategoryRecallDrop{Points: 10, FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * day)}, MinItems: 30}
}

// SetDefaults: at least 50 items.
func (l *LabelChanges) SetDefaults() { l.AtLeast = 50 }

// SetDefaults: 20 examples.
func (n *NewCategory) SetDefaults() { n.Examples = 20 }

// SetDefaults: a clear shift.
func (l *LabelShift) SetDefaults() { l.PSI = 0.2 }
