package policy

import (
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/quiethours"
)

// Config is the part of a model's configuration that decides about retraining.
type Config struct {
	// Evaluate says how often the accuracy is judged.
	Evaluate Evaluate `yaml:"evaluate"`
	// RetrainWhen lists the conditions of which any one arms a retrain.
	RetrainWhen Conditions `yaml:"retrain_when"`
	// UrgentWhen lists conditions of which any one arms a retrain that need not wait for quiet hours.
	UrgentWhen Conditions `yaml:"urgent_when"`
	// Limits keep retrains apart.
	Limits Limits `yaml:"limits"`
	// QuietHours are the windows in which a run may start and must fit; without any, every hour is quiet.
	QuietHours []quiethours.WindowConfig `yaml:"quiet_hours"`
	// Probation takes a release back when new labels soon after its promotion show it to be worse than the gate measured: 24h, or {for: 24h, false_rollbacks: 5%}; default none.
	Probation *Probation `yaml:"probation" json:",omitempty"`
}

// Evaluate says when a report is made and decided on.
type Evaluate struct {
	// Every is the longest time between two evaluations; 0s leaves them to changes and the schedule.
	Every unit.Duration `yaml:"every"`
	// AfterChanges is the number of label changes that cause an evaluation without further waiting; 0 waits for max_wait.
	AfterChanges int `yaml:"after_changes"`
	// Debounce is how long no further change may come before changes are evaluated.
	Debounce unit.Duration `yaml:"debounce"`
	// MaxWait is the longest time that changes wait for their evaluation, however many follow.
	MaxWait unit.Duration `yaml:"max_wait"`
	// MinItems is the number of scored held-out items below which nothing is concluded.
	MinItems int `yaml:"min_items"`
	// Schedule adds evaluations at fixed times: a cron line of five fields in the configured time zone.
	Schedule string `yaml:"schedule"`
}

// Limits keep retrains apart, whatever the conditions say.
type Limits struct {
	// Cooldown is the least time between the end of a run and the start of the next.
	Cooldown unit.Duration `yaml:"cooldown"`
	// Budget is how many runs may start in a rolling period; an empty text sets no budget.
	Budget unit.Rate `yaml:"budget"`
	// Breaker is the number of runs in a row without a promotion after which nothing starts until labels change; 0 never stops.
	Breaker int `yaml:"breaker"`
	// Reserve is the time that must remain of the quiet hours after the expected end of a run, to bring back what it stopped.
	Reserve unit.Duration `yaml:"reserve"`
	// SuspiciousLabels is hold where a retrain must wait while most relabels come from one author or minute and contradict the model and the nearest texts, or ignore.
	SuspiciousLabels Suspicious `yaml:"suspicious_labels"`
}

// Suspicious says what suspicious labels do to a retrain.
type Suspicious string

// The ways to take suspicious labels.
const (
	SuspiciousHold   Suspicious = "hold"
	SuspiciousIgnore Suspicious = "ignore"
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
