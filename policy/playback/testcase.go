package playback

import (
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// CaseFile is a file of policy tests.
type CaseFile struct {
	// Policy is the configuration file whose rules are tested, relative to this file.
	Policy string `yaml:"policy"`
	// Model is the model whose rules are tested; optional if the configuration has only one.
	Model string `yaml:"model"`
	// Tests are the cases.
	Tests []Case `yaml:"tests"`
}

// Case is one policy test: figures over virtual time, and the expected decisions.
type Case struct {
	// Name describes what is tested.
	Name string `yaml:"name"`
	// Start is the time of the first evaluation, in the time zone of the policy: 2027-03-27 20:00.
	Start string `yaml:"start"`
	// Step is the time between two values of the series; default 1h.
	Step unit.Duration `yaml:"step"`
	// HeldOut is the number of held-out items, all of which have an answer; default 500.
	HeldOut int `yaml:"held_out"`
	// Items is the number of labelled items; default 5000.
	Items int `yaml:"items"`
	// Baseline is the accuracy at the promotion; default: the first value of the series accuracy.
	Baseline *unit.Percent `yaml:"baseline"`
	// Age is the age of the release at the start; default 1d.
	Age unit.Duration `yaml:"age"`
	// Series are the figures over time, by name, such as accuracy: "91% 90%x5 89%-1%x3".
	Series map[string]string `yaml:"series"`
	// Runs defines how long the runs of the test take and how they end.
	Runs CaseRuns `yaml:"runs"`
	// Past lists runs that ended before the start.
	Past []CasePast `yaml:"past"`
	// Events lists what people do during the test.
	Events []CaseEvent `yaml:"events"`
	// Expect lists the expected decisions.
	Expect []Expectation `yaml:"expect"`
}

// CaseRuns defines the result of the runs that start in a test.
type CaseRuns struct {
	// Take is how long each run takes; default 1h.
	Take unit.Duration `yaml:"take"`
	// Outcome is how each run ends; default promoted.
	Outcome policy.Outcome `yaml:"outcome"`
	// Need is the duration that the policy expects of a run when it checks whether the run fits into the quiet hours;
	// default: take.
	Need *unit.Duration `yaml:"need"`
}

// CasePast is a run before the test.
type CasePast struct {
	// Ago is how long before the start the run ended.
	Ago unit.Duration `yaml:"ago"`
	// Took is how long the run took; default 1h.
	Took unit.Duration `yaml:"took"`
	// Outcome is how the run ended; default promoted.
	Outcome policy.Outcome `yaml:"outcome"`
	// SameLabels means that the run was trained on the labels that are present at the start.
	SameLabels bool `yaml:"same_labels"`
}

// CaseEvent is an action of a person.
type CaseEvent struct {
	// At is the time of the event, counted from the start.
	At unit.Duration `yaml:"at"`
	// Force requests a retrain.
	Force bool `yaml:"force"`
	// Pause prevents automatic starts for this long.
	Pause unit.Duration `yaml:"pause"`
	// Hold prevents all starts until a resume.
	Hold bool `yaml:"hold"`
	// Resume ends a pause and a hold.
	Resume bool `yaml:"resume"`
}

// Expectation is the expected decision at a time, or the expected starts of the whole test. Missing fields are not
// compared.
type Expectation struct {
	// At is the time of the expected decision, counted from the start; the last decision until then counts.
	At *unit.Duration `yaml:"at"`
	// Decision is start, running, wait, hold or undecided.
	Decision policy.Doing `yaml:"decision"`
	// Reason is why nothing starts, one of the reasons of policy.Reasons.
	Reason policy.Reason `yaml:"reason"`
	// Because lists all conditions that make a retrain due: [accuracy_drop, urgent_when.accuracy_below].
	Because *[]string `yaml:"because"`
	// Blocked lists all blockers.
	Blocked *[]policy.Reason `yaml:"blocked"`
	// Starts lists the starts of all runs, counted from the start of the test; it cannot be combined with other fields.
	Starts *[]unit.Duration `yaml:"starts"`
}

// SetDefaults fills in optional fields.
func (c *Case) SetDefaults() {
	*c = Case{
		Step: unit.Duration(time.Hour), HeldOut: 500, Items: 5000, Age: unit.Duration(24 * time.Hour),
		Runs: CaseRuns{Take: unit.Duration(time.Hour), Outcome: policy.OutcomePromoted},
	}
}

// SetDefaults fills in optional fields.
func (p *CasePast) SetDefaults() {
	*p = CasePast{Took: unit.Duration(time.Hour), Outcome: policy.OutcomePromoted}
}

// Validate reports invalid tests.
func (f CaseFile) Validate() check.Problems {
	var p check.Problems
	if f.Policy == "" {
		p.Errorf("policy", "write policy: retraind.yaml", "no policy to test")
	}
	if len(f.Tests) == 0 {
		p.Errorf("tests", "add an entry with name, start, series and expect", "there is no test")
	}
	seen := map[string]bool{}
	for i, c := range f.Tests {
		here := check.Index("tests", i)
		p.Under(here, c.validate())
		if seen[c.Name] {
			p.Errorf(here+".name", "give each test a different name", "two tests are called %q", c.Name)
		}
		seen[c.Name] = true
	}
	return p
}

func (c Case) validate() check.Problems {
	var p check.Problems
	if c.Name == "" {
		p.Errorf("name", "write name: and what is tested", "the test has no name")
	}
	if c.Start == "" {
		p.Errorf("start", `write start: 2027-03-27 20:00`, "the test has no start")
	}
	if c.Step <= 0 {
		p.Errorf("step", "write step: 1h", "%s is not a valid step", c.Step)
	}
	if c.HeldOut < 0 || c.Items < 0 {
		p.Errorf("held_out", "write held_out: 500", "a negative number of items")
	}
	if len(c.Series) == 0 {
		p.Errorf("series", `write series: {accuracy: "91%x10"}`, "the test has no figures")
	}
	for _, name := range sortedKeys(c.Series) {
		if err := validSeries(name); err != nil {
			p.Add("series."+name, err)
			continue
		}
		values, err := parseSeries(c.Series[name], name == "state")
		if err == nil {
			err = possible(name, values)
		}
		if err != nil {
			p.Add("series."+name, err)
		}
	}
	outcome := func(path string, o policy.Outcome) {
		switch o {
		case policy.OutcomePromoted, policy.OutcomeRejected, policy.OutcomeRolledBack,
			policy.OutcomeFailed, policy.OutcomeCancelled, policy.OutcomeBlocked:
		default:
			p.Errorf(path, "write promoted, rejected, rolled_back, failed, cancelled or blocked", "unknown outcome %q", o)
		}
	}
	outcome("runs.outcome", c.Runs.Outcome)
	for i, past := range c.Past {
		outcome(check.Index("past", i)+".outcome", past.Outcome)
	}
	for i, e := range c.Expect {
		p.Under(check.Index("expect", i), e.validate())
	}
	return p
}

func (e Expectation) validate() check.Problems {
	var p check.Problems
	about := e.Decision != "" || e.Reason != "" || e.Because != nil || e.Blocked != nil
	switch {
	case e.Starts != nil && (e.At != nil || about):
		p.Errorf("starts", "write it as a separate entry", "starts covers the whole test, not one time")
	case e.Starts == nil && e.At == nil:
		p.Errorf("", "write {at: 8h, decision: hold}, or {starts: [10h]}", "no time")
	case e.At != nil && !about:
		p.Errorf("", "add decision:, reason:, because: or blocked:", "nothing is expected at %s", e.At)
	}
	switch e.Decision {
	case "", policy.DoingStart, policy.DoingRunning, policy.DoingWait, policy.DoingHold, policy.DoingUndecided:
	default:
		p.Errorf("decision", "write start, running, wait, hold or undecided", "unknown decision %q", e.Decision)
	}
	reasons := []policy.Reason{e.Reason}
	if e.Blocked != nil {
		reasons = append(reasons, *e.Blocked...)
	}
	for _, r := range reasons {
		if err := knownReason(r); err != nil {
			p.Add("reason", err)
		}
	}
	return p
}
