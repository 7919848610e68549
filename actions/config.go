package actions

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// StepConfig is one step of a pipeline: either a built-in one (do) or a command (exec).
type StepConfig struct {
	// Name of the step in logs, events and directories; default: the built-in's name.
	Name string `yaml:"name"`
	// Do names a built-in step: export, gate, release or verify.
	Do Builtin `yaml:"do"`
	// Exec is a command as a list of arguments, without a shell. "retraind" as the program means this very binary.
	Exec []string `yaml:"exec"`
	// Undo is a command that takes the step back when a later one fails.
	Undo []string `yaml:"undo"`
	// Shell runs exec's single argument by /bin/sh -c. Data reaches it only through RETRAIND_ variables.
	Shell bool `yaml:"shell"`
	// Dir is the working directory; default: the run's own directory.
	Dir string `yaml:"dir"`
	// Env adds variables to the small environment that a step gets.
	Env map[string]string `yaml:"env"`
	// Timeout ends the step; default 12h for commands, 10m for built-in steps.
	Timeout unit.Duration `yaml:"timeout"`
	// Expect is how long the step should take, until earlier runs say so; a run starts only where it fits into the quiet hours.
	Expect unit.Duration `yaml:"expect"`
	// Retries is how often a failed step is tried again; default 0.
	Retries int `yaml:"retries"`
	// Kind says what may be done when the step's outcome is unknown: pure (run it again) or once (roll back); default once.
	Kind StepKind `yaml:"kind"`
	// GPU marks a step that needs the GPU: the run waits until the gate has found it free.
	GPU bool `yaml:"gpu"`
	// Checkpoints marks a command that keeps each thing it has done: it is stopped when the quiet hours end, and goes on in the next ones.
	Checkpoints bool `yaml:"checkpoints"`
}

// Builtin names a step that retraind does itself.
type Builtin string

// The built-in steps.
const (
	DoExport  Builtin = "export"  // write train.jsonl and test.jsonl
	DoGate    Builtin = "gate"    // compare candidate and champion on the held-out set
	DoRelease Builtin = "release" // make `current` name the candidate
	DoVerify  Builtin = "verify"  // prove that the service answers as the candidate
)

// StepKind says what an unknown outcome means.
type StepKind string

// The kinds of commands.
const (
	KindPure StepKind = "pure"
	KindOnce StepKind = "once"
)

// Gate names a rule of promotion.
type Gate string

// The gates.
const (
	GateNotWorse Gate = "not_worse" // paired non-inferiority by a margin
	GateBetter   Gate = "better"    // exact McNemar test
	GatePoint    Gate = "point"     // at least as many right answers; refuses nothing by chance and promotes much by it
)

// PromoteConfig says when a candidate may replace the champion, and what proves that it did.
type PromoteConfig struct {
	// Gate is not_worse, better or point; default not_worse.
	Gate Gate `yaml:"gate"`
	// Margin is how many points a candidate may be worse by under not_worse; default 1.
	Margin unit.Points `yaml:"margin"`
	// CategoryFloor refuses a candidate that loses more than so many points of recall and of F1 in a category, beyond chance; default 5.
	CategoryFloor unit.Points `yaml:"category_floor"`
	// Parity is the share of probed items that the service must answer as the artifact did offline; default 99.5%.
	Parity unit.Percent `yaml:"parity"`
	// VerifyWithin is how long a deployment may take until it is proved; default 2m.
	VerifyWithin unit.Duration `yaml:"verify_within"`
	// UndoWithin is how long taking a release back is tried, with growing pauses, before the model is held; default 5m.
	UndoWithin unit.Duration `yaml:"undo_within"`
	// Targets are the floors of the targets that do not gate, by name.
	Targets map[string]TargetFloor `yaml:"targets"`
	// Smoke are texts whose answer must be as expected.
	Smoke []Smoke `yaml:"smoke"`
	// MaxLatency bounds the 95th percentile of an answer's time; 0 = not checked.
	MaxLatency unit.Duration `yaml:"max_latency"`
}

// TargetFloor bounds what a candidate may lose in a target that does not gate. A target without one may lose at most
// category_floor points beyond chance.
type TargetFloor struct {
	// Margin is how many points a candidate may be worse by in this target, with 95 % confidence.
	Margin unit.Points `yaml:"margin"`
}

// Smoke is one text with the answer of the gating target.
type Smoke struct {
	// Text holds the text columns.
	Text map[string]string `yaml:"text"`
	// Expect is the answer.
	Expect string `yaml:"expect"`
}

// WithDefaults fills what was left out.
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

// Validate finds faults; call it after WithDefaults.
func (c PromoteConfig) Validate() check.Problems {
	var p check.Problems
	if c.Gate != GateNotWorse && c.Gate != GateBetter && c.Gate != GatePoint {
		p.Errorf("gate", "write not_worse, better or point", "unknown gate %q", c.Gate)
	}
	if c.Gate == GatePoint {
		p.Warnf("gate", "not_worse or better decide by the evidence",
			"gate point promotes a model that is 2 points worse every fifth time with 200 held-out items")
	}
	if c.Margin < 0 || c.Margin > 50 {
		p.Errorf("margin", "write points, such as 1", "margin %v is not between 0 and 50 points", c.Margin)
	}
	if c.CategoryFloor < 0 || c.CategoryFloor > 100 {
		p.Errorf("category_floor", "write points, such as 5", "category floor %v is not between 0 and 100 points",
			c.CategoryFloor)
	}
	if c.Parity < 0.5 {
		p.Errorf("parity", "99.5% is usual",
			"parity %v would let a service pass that answers mostly otherwise than its artifact", c.Parity)
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
	for i, s := range c.Smoke {
		if len(s.Text) == 0 || s.Expect == "" {
			p.Errorf(check.Index("smoke", i), "give text: {column: …} and expect:",
				"a smoke case needs a text and an expected answer")
		}
	}
	return p
}

// DefaultPipeline trains the embedded classifier.
func DefaultPipeline() []StepConfig {
	return []StepConfig{
		{Do: DoExport},
		{Name: "train", Exec: []string{"retraind", "train"}, Kind: KindPure},
		{Do: DoGate},
		{Do: DoRelease},
		{Do: DoVerify},
	}
}

// undoPrefix begins the directory of an undo command; it is that of the step otherwise.
const undoPrefix = "undo-"

var stepName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// ValidatePipeline finds faults of one pipeline.
func ValidatePipeline(steps []StepConfig) check.Problems {
	var p check.Problems
	if len(steps) == 0 {
		p.Errorf("", "leave the pipeline out to train the embedded classifier, or list its steps",
			"the pipeline has no steps")
	}
	seen, at := map[string]int{}, map[Builtin]int{}
	for i, s := range steps {
		here := check.Index("", i)
		name := s.Title()
		switch {
		case s.Do == "" && len(s.Exec) == 0:
			p.Errorf(here, "write do: export|gate|release|verify, or exec: [program, argument]", "the step does nothing")
		case s.Do != "" && len(s.Exec) > 0:
			p.Errorf(here+".exec", "make it two steps", "a step is either do or exec, not both")
		case name == "": // it names the directory that the command's record is kept in
			p.Errorf(here, "add name: with one or two words, such as train", "the command has no name")
		}
		switch s.Do {
		case "", DoExport, DoGate, DoRelease, DoVerify:
		default:
			p.Errorf(here+".do", "write export, gate, release or verify", "unknown built-in step %q", s.Do)
		}
		switch {
		case name != "" && !stepName.MatchString(name):
			p.Errorf(here+".name", "use a-z, 0-9, - and _, at most 32", "%q cannot name a step", name)
		case strings.HasPrefix(name, undoPrefix):
			p.Errorf(here+".name", "choose another name", "%q: names that begin with %s are those of the undo commands", name,
				undoPrefix)
		}
		if first, twice := seen[name]; twice && name != "" {
			p.Errorf(here+".name", "give each step a name of its own", "step %q stands already at place %d", name, first+1)
		}
		seen[name] = i
		if s.Do != "" {
			if _, twice := at[s.Do]; !twice {
				at[s.Do] = i
			}
		}
		validateCommand(&p, here, s)
	}
	order := []Builtin{DoExport, DoGate, DoRelease, DoVerify}
	var missing, cures []string
	for _, need := range order[1:] { // the data may come by another way
		if _, ok := at[need]; !ok {
			missing, cures = append(missing, string(need)), append(cures, "{do: "+string(need)+"}")
		}
	}
	if len(missing) > 0 && len(p) == 0 {
		p.Errorf("", "add "+strings.Join(cures, " and "),
			"the pipeline lacks %s: its models would never be both proved and deployed", strings.Join(missing, ", "))
	}
	for i, later := range order {
		for _, earlier := range order[:i] {
			a, okA := at[earlier]
			b, okB := at[later]
			if okA && okB && a > b {
				p.Errorf(check.Index("", b), "put it after "+string(earlier), "%s comes before %s", later, earlier)
			}
		}
	}
	return p
}

func validateCommand(p *check.Problems, here string, s StepConfig) {
	if s.Do != "" {
		for _, key := range []struct {
			name string
			set  bool
		}{
			{"undo", len(s.Undo) > 0},
			{"shell", s.Shell},
			{"dir", s.Dir != ""},
			{"env", len(s.Env) > 0},
			{"kind", s.Kind != ""},
			{"gpu", s.GPU},
			{"checkpoints", s.Checkpoints},
		} {
			if key.set {
				p.Errorf(here+"."+key.name, "remove it", "%s belongs to a command, not to a built-in step", key.name)
			}
		}
	}
	if s.Do == "" && s.Shell && len(s.Exec) != 1 {
		p.Errorf(here+".exec", "write one string, or leave shell out", "shell: true takes exactly one argument")
	}
	if s.Shell && len(s.Undo) > 1 {
		p.Errorf(here+".undo", "write one string, or leave shell out",
			"shell: true takes exactly one argument, in undo as well")
	}
	if s.Kind != "" && s.Kind != KindPure && s.Kind != KindOnce {
		p.Errorf(here+".kind", "write pure or once", "unknown kind %q", s.Kind)
	}
	if s.Timeout < 0 {
		p.Errorf(here+".timeout", "write a duration such as 2h", "%v is negative", s.Timeout)
	}
	switch {
	case s.Expect < 0:
		p.Errorf(here+".expect", "write a duration such as 40m", "%v is negative", s.Expect)
	case s.Timeout > 0 && s.Expect > s.Timeout:
		p.Errorf(here+".expect", "make timeout longer, or expect shorter",
			"the step is expected to take %s and is ended after %s", s.Expect, s.Timeout)
	}
	if s.Retries < 0 || s.Retries > 20 {
		p.Errorf(here+".retries", "write a number from 0 to 20", "%d retries", s.Retries)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !envName.MatchString(name) {
			p.Errorf(here+".env."+name, "use letters, digits and _", "%q cannot name a variable", name)
		}
		if strings.HasPrefix(name, "RETRAIND_") { // its own mark on the processes it starts is among them
			p.Errorf(here+".env."+name, "choose another name", "variables that begin with RETRAIND_ are set by retraind")
		}
	}
	for _, command := range []struct {
		key  string
		argv []string
	}{{"exec", s.Exec}, {"undo", s.Undo}} {
		for i, a := range command.argv {
			if strings.ContainsRune(a, 0) {
				p.Errorf(check.Index(here+"."+command.key, i), "remove the NUL character", "argument %d has a NUL character", i)
			}
		}
		if len(command.argv) > 0 && command.argv[0] == "" {
			p.Errorf(here+"."+command.key, "name a program", "the program is empty")
		}
	}
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Title is the step's name, by default that of its built-in.
func (s StepConfig) Title() string {
	if s.Name != "" {
		return s.Name
	}
	return string(s.Do)
}
