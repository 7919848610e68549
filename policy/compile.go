package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/policy/quiethours"
)

// Options are the arguments of Compile besides the configuration.
type Options struct {
	// ReadFile returns the content of a calendar file named in quiet_hours; it may be nil if there is none.
	ReadFile func(name string) ([]byte, error)
}

// Policy is a compiled configuration that makes decisions.
type Policy struct {
	config   Config
	retrain  []named
	urgent   []named
	windows  *quiethours.Windows
	schedule Schedule
	digest   string
	// pipelines are the pipelines that conditions name, by configuration path.
	pipelines map[string]string
	warnings  check.Problems
}

// Compile checks a configuration and prepares it for decisions in the time zone loc. The error wraps a
// *check.Invalid with paths relative to the configuration.
func Compile(cfg Config, loc *time.Location, opts Options) (*Policy, error) {
	found := cfg.Validate(loc)
	if found.HasErrors() {
		return nil, fmt.Errorf("policy %w", &check.Invalid{Problems: found})
	}
	p := &Policy{config: cfg, warnings: found, pipelines: cfg.Pipelines()}
	var err error
	if p.retrain, err = cfg.RetrainWhen.conditions("retrain_when"); err != nil {
		return nil, fmt.Errorf("policy retrain_when: %w", err)
	}
	if p.urgent, err = cfg.UrgentWhen.conditions("urgent_when"); err != nil {
		return nil, fmt.Errorf("policy urgent_when: %w", err)
	}
	if p.windows, err = quiethours.NewWindows(cfg.QuietHours, loc, opts.ReadFile); err != nil {
		return nil, fmt.Errorf("policy %w", err)
	}
	if cfg.Evaluate.Schedule != "" {
		if p.schedule, err = ParseSchedule(cfg.Evaluate.Schedule, loc); err != nil {
			return nil, fmt.Errorf("policy evaluate: %w", err)
		}
	}
	p.digest, err = digest(cfg, p.windows)
	return p, err
}

// digest returns a hash of everything configured that a decision depends on: the configuration in canonical form, the
// time zone, and the dates from calendars.
func digest(cfg Config, w *quiethours.Windows) (string, error) {
	doc, err := json.Marshal(struct {
		Format int
		Config Config
		Zone   string
		Except []int // days since 1970-01-01
	}{1, cfg, w.Location().String(), w.ClosedDates()})
	if err != nil {
		return "", fmt.Errorf("policy digest: %w", err)
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}

// Digest returns the SHA-256 of the effective configuration in hexadecimal. Two policies with the same digest make the
// same decisions on the same input.
func (p *Policy) Digest() string { return p.digest }

// Warnings returns the settings that are valid but questionable.
func (p *Policy) Warnings() check.Problems { return p.warnings }

// Config returns the configuration that was compiled.
func (p *Policy) Config() Config { return p.config }

// Windows returns the quiet hours.
func (p *Policy) Windows() *quiethours.Windows { return p.windows }

// Scheduled returns the time of the first evaluation after t according to evaluate.schedule, zero without a schedule.
func (p *Policy) Scheduled(t time.Time) time.Time { return p.schedule.Next(t) }

// Tests sets the monitor options that the policy determines: the tests of newly arriving items, and the least number
// of held-out items. If a condition is configured under both retrain_when and urgent_when, its test uses the values
// under retrain_when.
func (c Config) Tests(o drift.Options) drift.Options {
	o.MinItems = c.Evaluate.MinItems
	for _, w := range []Conditions{c.UrgentWhen, c.RetrainWhen} {
		if d := w.AccuracyDrop; d != nil {
			o.DropPoints, o.FalseRetrains = d.Points.F(), d.FalseRetrains
		}
		if d := w.CategoryRecallDrop; d != nil {
			o.Categories = drift.CategoryTests{DropPoints: d.Points.F(), FalseRetrains: d.FalseRetrains, MinItems: d.MinItems}
		}
	}
	return o
}
