package actions

import (
	"maps"
	"slices"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// Gate names a rule of promotion.
type Gate string

// The gates.
const (
	GateNotWorse Gate = "not_worse" // paired non-inferiority by a margin
	GateBetter   Gate = "better"    // exact McNemar test
	GatePoint    Gate = "point"     // at least as many right answers; promotes and refuses by chance
)

// PromoteConfig is when a candidate may replace the champion, and how the deployment is verified.
type PromoteConfig struct {
	// Gate is the rule by which candidate and champion are compared: not_worse (at most margin points worse), better, or
	// point (right on at least as many items, which chance often decides); default not_worse.
	Gate Gate `yaml:"gate"`
	// Margin is how many points worse than the champion a candidate may be with not_worse; default 1.
	Margin unit.Points `yaml:"margin"`
	// CategoryFloor is how many points of both recall and F1 a candidate may lose in a category, beyond chance; default
	// 5.
	CategoryFloor unit.Points `yaml:"category_floor"`
	// FormatErrors is the largest share of held-out items to which a candidate may give an unusable answer; default 1%.
	FormatErrors unit.Percent `yaml:"format_errors" json:",omitempty"`
	// Parity is the share of probed items to which the service must give the answer that the artifact gave offline;
	// default 99.5%.
	Parity unit.Percent `yaml:"parity"`
	// VerifyWithin is how long the service may take, from the start of the step verify, until its answers prove the
	// release; default 2m.
	VerifyWithin unit.Duration `yaml:"verify_within"`
	// UndoWithin is how long a rollback is retried, with growing pauses, before the model is held; default 5m.
	UndoWithin unit.Duration `yaml:"undo_within"`
	// Targets are the bounds of the targets other than the one in serving.gate, by name.
	Targets map[string]TargetFloor `yaml:"targets"`
	// Figures are the bounds of the figures of steps, by the name in their result file: {summary: {at_least: 0.6, margin:
	// 0.02}}.
	Figures map[string]FigureFloor `yaml:"figures"`
	// Smoke lists texts with the answers that the service must give after a deployment.
	Smoke []Smoke `yaml:"smoke"`
	// MaxLatency is the longest time that 95% of the answers may take; 0 means that it is not checked.
	MaxLatency unit.Duration `yaml:"max_latency"`
}

// TargetFloor limits what a candidate may lose in a target that does not gate. A target without one may lose at most
// category_floor points beyond chance.
type TargetFloor struct {
	// Margin is how many points worse a candidate may be in this target, with 95% confidence.
	Margin unit.Points `yaml:"margin"`
}

// Smoke is one text with the answer of the gating target.
type Smoke struct {
	// Text are the texts, by column.
	Text map[string]string `yaml:"text"`
	// Expect is the answer of the target in serving.gate, or of the only target.
	Expect string `yaml:"expect"`
}

// WithDefaults returns the configuration with defaults filled in.
func (c PromoteConfig) WithDefaults() PromoteConfig {
	if c.Gate == "" {
		c.Gate = GateNotWorse
	}
	if c.Margin == 0 {
		c.Margin = 1
	}
	if c.CategoryFloor == 0 {
		c.CategoryFloor = 5
	}
	if c.FormatErrors == 0 {
		c.FormatErrors = 0.01
	}
	if c.Parity == 0 {
		c.Parity = 0.995
	}
	if c.UndoWithin == 0 {
		c.UndoWithin = unit.Duration(5 * time.Minute)
	}
	if c.VerifyWithin == 0 {
		c.VerifyWithin = unit.Duration(2 * time.Minute)
	}
	return c
}

// Validate returns the faults; call it after WithDefaults.
func (c PromoteConfig) Validate() check.Problems {
	var p check.Problems
	if c.Gate != GateNotWorse && c.Gate != GateBetter && c.Gate != GatePoint {
		p.Errorf("gate", "write not_worse, better or point", "unknown gate %q", c.Gate)
	}
	if c.Gate == GatePoint {
		p.Warnf("gate", "choose not_worse or better: they decide by statistical evidence",
			"with 200 held-out items, the gate point promotes one in five of the models that are 2 points worse")
	}
	if c.Margin < 0 || c.Margin > 50 {
		p.Errorf("margin", "write points, such as 1", "margin %v is not between 0 and 50 points", c.Margin)
	}
	if c.CategoryFloor < 0 || c.CategoryFloor > 100 {
		p.Errorf("category_floor", "write points, such as 5", "category floor %v is not between 0 and 100 points",
			c.CategoryFloor)
	}
	if c.FormatErrors < 0 || c.FormatErrors > 1 {
		p.Errorf("format_errors", "write a share such as 1%", "%v is not between 0%% and 100%%", c.FormatErrors)
	}
	if c.Parity < 0.5 {
		p.Errorf("parity", "write 50% or more; 99.5% is usual",
			"parity %v would accept a service that mostly answers differently from its artifact", c.Parity)
	}
	if c.MaxLatency < 0 {
		p.Errorf("max_latency", "write a duration such as 300ms, or leave it out", "%v is negative", c.MaxLatency)
	}
	if c.VerifyWithin < 0 {
		p.Errorf("verify_within", "write a duration such as 2m", "%v is negative", c.VerifyWithin)
	}
	if c.UndoWithin < 0 {
		p.Errorf("undo_within", "write a duration such as 5m", "%v is negative", c.UndoWithin)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		if m := c.Targets[name].Margin; m < 0 || m > 50 {
			p.Errorf("targets."+name+".margin", "write points, such as 2", "margin %v is not between 0 and 50 points", m)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Figures)) {
		if !figureName.MatchString(name) {
			p.Errorf("figures."+name, "write the name from the result file", "%q cannot name a figure", name)
		}
		c.Figures[name].validate(&p, "figures."+name)
	}
	for i, s := range c.Smoke {
		if len(s.Text) == 0 || s.Expect == "" {
			p.Errorf(check.Index("smoke", i), "give text: {column: …} and expect:",
				"a smoke case needs a text and an expected answer")
		}
	}
	return p
}
