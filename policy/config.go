package policy

import (
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/quiethours"
)

// Config is the part of a model's configuration that controls retraining.
type Config struct {
	// Evaluate defines how often the accuracy is evaluated.
	Evaluate Evaluate `yaml:"evaluate"`
	// RetrainWhen lists the conditions; any one of them makes a retrain due.
	RetrainWhen Conditions `yaml:"retrain_when"`
	// UrgentWhen lists conditions; any one of them makes a retrain due that need not wait for quiet hours.
	UrgentWhen Conditions `yaml:"urgent_when"`
	// Limits bound how often runs may start.
	Limits Limits `yaml:"limits"`
	// QuietHours are the windows in which a run may start and must end; without any, runs may start at any time.
	QuietHours []quiethours.WindowConfig `yaml:"quiet_hours"`
	// Probation rolls a release back when new labels soon after its promotion show it to be worse than the gate
	// measured: 24h, or {for: 24h, false_rollbacks: 5%}; default none.
	Probation *Probation `yaml:"probation" json:",omitempty"`
}

// Evaluate defines when a report is made and decided on.
type Evaluate struct {
	// Every is the longest time between two evaluations; 0s evaluates only after changes and by schedule.
	Every unit.Duration `yaml:"every"`
	// AfterChanges is the number of label changes that cause an immediate evaluation; 0 always waits for debounce
	// or max_wait.
	AfterChanges int `yaml:"after_changes"`
	// Debounce is how long no further change may arrive before changes are evaluated.
	Debounce unit.Duration `yaml:"debounce"`
	// MaxWait is the longest time that changes wait for their evaluation while more keep arriving.
	MaxWait unit.Duration `yaml:"max_wait"`
	// MinItems is the number of scored held-out items below which nothing is decided.
	MinItems int `yaml:"min_items"`
	// Schedule adds evaluations at fixed times: a cron line of five fields in the configured time zone.
	Schedule string `yaml:"schedule"`
}

// Limits bound how often runs may start, whatever the conditions say.
type Limits struct {
	// Cooldown is the least time between the end of a run and the start of the next.
	Cooldown unit.Duration `yaml:"cooldown"`
	// Budget is how many runs may start in a rolling period; an empty text sets no budget.
	Budget unit.Rate `yaml:"budget"`
	// Breaker is the number of consecutive runs without a promotion after which nothing starts until labels
	// change; 0 disables it.
	Breaker int `yaml:"breaker"`
	// Reserve is the time that must remain of the quiet hours after the expected end of a run, to restart the
	// services that it stopped.
	Reserve unit.Duration `yaml:"reserve"`
	// SuspiciousLabels is the reaction to suspicious relabels: hold or ignore. hold blocks a retrain while most relabels
	// come from one author or minute and contradict the model and the nearest texts.
	SuspiciousLabels Suspicious `yaml:"suspicious_labels"`
}

// Suspicious is the effect of suspicious labels on a retrain.
type Suspicious string

// The values of suspicious_labels.
const (
	SuspiciousHold   Suspicious = "hold"
	SuspiciousIgnore Suspicious = "ignore"
)

const day = 24 * time.Hour

// Defaults returns the configuration that applies if nothing is set. It has no conditions, because what makes a retrain
// due must be configured. A condition that is written without its numbers gets them from its SetDefaults.
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

// SetDefaults replaces the configuration by Defaults.
func (c *Config) SetDefaults() { *c = Defaults() }
