package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/policy/quiethours"
)

// ShadowConfig is a second policy that decides in parallel to the active one and starts nothing, so that rules can be
// tried on live data. A section that is set here replaces that section of the model as a whole; all other sections are
// the model's.
type ShadowConfig struct {
	// RetrainWhen is the shadow's own retrain_when, with the same keys.
	RetrainWhen *Conditions `yaml:"retrain_when"`
	// UrgentWhen is the shadow's own urgent_when, with the same keys.
	UrgentWhen *Conditions `yaml:"urgent_when"`
	// Limits are the shadow's own limits, with the same keys.
	Limits *Limits `yaml:"limits"`
	// QuietHours are the shadow's own quiet_hours, with the same keys.
	QuietHours *[]quiethours.WindowConfig `yaml:"quiet_hours"`
}

// SetDefaults sets the limits of Defaults; they apply to every key that is not written.
func (l *Limits) SetDefaults() { *l = Defaults().Limits }

// Over returns the complete configuration of the shadow: the sections that s sets, and all others from c, the model's
// configuration.
func (s ShadowConfig) Over(c Config) Config {
	if s.RetrainWhen != nil {
		c.RetrainWhen = *s.RetrainWhen
	}
	if s.UrgentWhen != nil {
		c.UrgentWhen = *s.UrgentWhen
	}
	if s.Limits != nil {
		c.Limits = *s.Limits
	}
	if s.QuietHours != nil {
		c.QuietHours = *s.QuietHours
	}
	return c
}

// Validate reports errors in the shadow's sections.
func (s ShadowConfig) Validate(c Config, loc *time.Location) check.Problems {
	var p check.Problems
	own := map[string]bool{
		"retrain_when": s.RetrainWhen != nil, "urgent_when": s.UrgentWhen != nil,
		"limits": s.Limits != nil, "quiet_hours": s.QuietHours != nil,
	}
	any := false
	for _, is := range own {
		any = any || is
	}
	if !any {
		p.Errorf("", "set retrain_when, urgent_when, limits or quiet_hours under shadow",
			"the shadow does not differ from the model's own policy")
		return p
	}
	return slices.DeleteFunc(s.Over(c).Validate(loc), func(found check.Problem) bool {
		section, _, _ := strings.Cut(found.Path, ".")
		section, _, _ = strings.Cut(section, "[")
		return !own[section]
	})
}

// Shadow is the state of a shadow policy between two decisions, as JSON.
type Shadow struct {
	Digest      string    `json:"digest"` // of its policy; when the policy changes, the shadow starts again
	Since       time.Time `json:"since"`  // when it was first evaluated
	Differences int       `json:"differences"`
	// Real and Would are the last decisions of the active policy and the shadow, Text is the shadow's sentence.
	Real  Doing  `json:"real"`
	Would Doing  `json:"would"`
	Text  string `json:"text"`
	// At is when one of the two last changed in effect (see class).
	At time.Time `json:"at"`
	// Starts are the times at which the shadow would have started a run and the active policy did not, newest first, as
	// far back as the shadow's limits need.
	Starts []time.Time `json:"starts,omitempty"`
	Last   *Decision   `json:"last,omitempty"`
}

// Differs reports whether the active policy and the shadow currently decide differently in effect.
func (s Shadow) Differs() bool { return class(s.Real) != class(s.Would) }

// class returns the same value for decisions with the same effect on the model: DoingHold also for DoingUndecided,
// because nothing starts in either case.
func class(d Doing) Doing {
	if d == DoingUndecided || d == "" {
		return DoingHold
	}
	return d
}

// Beside makes the shadow's decision on the same input as the active policy's decision (was), and returns the next
// state. The history is the real one plus the runs in Starts, which count only for the shadow's cooldown and budget. A
// forced decision is not compared. `began` reports whether the decision counts as a new difference: when a difference
// begins, and again when one of the two policies would start a run during it.
func (s Shadow) Beside(
	p *Policy, was *Decision, decide func(History) Decision, h History, now time.Time,
) (next Shadow, began bool) {
	next = s
	if next.Digest != p.digest {
		next = Shadow{Digest: p.digest, Since: now}
	}
	if was.Forced {
		return next, false
	}
	h.Force, h.Last = nil, next.Last
	for _, at := range next.Starts {
		h.Runs = append(slices.Clip(h.Runs), RunFact{ID: "shadow", Started: at, Ended: at, Outcome: OutcomeCancelled})
	}
	slices.SortStableFunc(h.Runs, func(a, b RunFact) int { return b.Started.Compare(a.Started) })
	d := decide(h)
	before := next
	next.Last, next.Real, next.Would, next.Text = &d, was.Doing(), d.Doing(), d.Text
	if class(before.Real) != class(next.Real) || class(before.Would) != class(next.Would) {
		next.At = now
		started := next.Real == DoingStart && before.Real != DoingStart ||
			next.Would == DoingStart && before.Would != DoingStart
		began = next.Differs() && (!before.Differs() || started)
	}
	if began {
		next.Differences++
	}
	if d.Start() && next.Real != DoingStart {
		next.Starts = append([]time.Time{now}, next.Starts...)
	}
	keep := max(p.config.Limits.Cooldown.D(), p.config.Limits.Budget.Per.D())
	next.Starts = slices.DeleteFunc(next.Starts, func(at time.Time) bool { return now.Sub(at) > keep })
	return next, began
}
