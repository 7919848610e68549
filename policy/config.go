package policy

import (
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/quiethours"
)

// Config is the part of a model's configuration that controls retraining.
type Config struct {
	// Evaluate defines when the accuracy is evaluated.
	Evaluate Evaluate `yaml:"evaluate"`
	// RetrainWhen lists conditions; a retrain is due if at least one of them is true. It then waits for quiet hours.
	RetrainWhen Conditions `yaml:"retrain_when"`
	// UrgentWhen lists conditions; a retrain is due if at least one of them is true. It does not wait for quiet hours.
	UrgentWhen Conditions `yaml:"urgent_when"`
	// Limits defines how often runs may start.
	Limits Limits `yaml:"limits"`
	// QuietHours are the windows in which a run may start and must end; without any, runs may start at any time.
	QuietHours []quiethours.WindowConfig `yaml:"quiet_hours"`
	// Probation rolls a release back if new labels show, soon after its promotion, that it is worse than the gate
	// measured: 24h, or {for: 24h, false_rollbacks: 5%}. Default: no probation.
	Probation *Probation `yaml:"probation" json:",omitempty"`
}

// Evaluate defines when a report is made and decided on.
type Evaluate struct {
	// Every is the longest time between two evaluations; with 0s, only changes and schedule cause evaluations.
	Every unit.Duration `yaml:"every"`
	// AfterChanges is the number of label changes that cause an evaluation at once; with 0, changes always wait for
	// debounce or max_wait.
	AfterChanges int `yaml:"after_changes"`
	// Debounce is how long an evaluation waits after the last change; each new change restarts this wait.
	Debounce unit.Duration `yaml:"debounce"`
	// MaxWait is the longest time that changes wait for an evaluation while more of them arrive.
	MaxWait unit.Duration `yaml:"max_wait"`
	// MinItems is the least number of held-out items with an answer; with fewer, nothing is decided.
	MinItems int `yaml:"min_items"`
	// Schedule adds evaluations at fixed times: a cron line of five fields, in timezone.
	Schedule string `yaml:"schedule"`
}

// Limits bound how often runs may start, whatever the conditions say.
type Limits struct {
	// Cooldown is the least time between the end of a run and the start of the next.
	Cooldown unit.Duration `yaml:"cooldown"`
	// Budget is how many runs may start in a rolling period, such as 3 per 7d; an empty text sets no budget. Runs that
	// trained nothing do not count, such as blocked ones.
	Budget unit.Rate `yaml:"budget"`
	// Breaker is the number of consecutive runs that failed, were rejected or were rolled back, after which no run starts
	// until labels change; 0 disables it.
	Breaker int `yaml:"breaker"`
	// Reserve is how much of the quiet hours must remain after the expected end of a run, for restarting the services
	// that it stopped.
	Reserve unit.Duration `yaml:"reserve"`
	// SuspiciousLabels is what suspicious label corrections do to a retrain: hold blocks it while most of the corrections
	// come from one author or one minute and contradict both the model and the labels of similar texts; ignore does not.
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
