package playback

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// CaseResult is the result of one test.
type CaseResult struct {
	Name     string
	Failures []CaseFailure
	// Observed are the expectations that --update writes: at the expected times, or at each change if none are
	// expected.
	Observed []Expectation
	// Error is why the test could not be run.
	Error error
}

// CaseFailure is one expectation that was not met.
type CaseFailure struct {
	Index    int // of the expectation
	At       time.Time
	What     []Difference
	Decision *policy.Decision // the actual one; nil for the starts of the whole test
}

// Difference is one field whose value differs from the expected one.
type Difference struct{ What, Want, Got string }

// Passed reports whether all expectations were met.
func (r CaseResult) Passed() bool { return len(r.Failures) == 0 && r.Error == nil }

// RunCase runs a test and compares its decisions with the expected ones.
func RunCase(p *policy.Policy, c Case) CaseResult {
	r := CaseResult{Name: c.Name}
	s, err := play(p, &c)
	if err != nil {
		r.Error = err
		return r
	}
	for i, e := range c.Expect {
		if e.Starts != nil {
			starts := s.startTimes()
			if !slices.Equal(starts, *e.Starts) {
				r.Failures = append(r.Failures,
					CaseFailure{Index: i, At: s.start, What: []Difference{{"starts", list(*e.Starts), list(starts)}}})
			}
			r.Observed = append(r.Observed, Expectation{Starts: &starts})
			continue
		}
		at := s.start.Add(e.At.D())
		d := s.at(at)
		if d == nil {
			r.Failures = append(r.Failures,
				CaseFailure{Index: i, At: at, What: []Difference{{"decision", string(e.Decision), "none before that time"}}})
			r.Observed = append(r.Observed, e)
			continue
		}
		got := observed(d, e.At)
		if what := e.differences(got); len(what) > 0 {
			r.Failures = append(r.Failures, CaseFailure{Index: i, At: at, What: what, Decision: d})
		}
		r.Observed = append(r.Observed, e.kept(got))
	}
	if len(c.Expect) == 0 {
		r.Failures = append(r.Failures, CaseFailure{
			Index: -1, At: s.start,
			What: []Difference{{"expect", "something", "nothing; --update writes the actual decisions"}},
		})
		r.Observed = s.changes()
	}
	return r
}

func (s *caseRunner) startTimes() []unit.Duration {
	out := []unit.Duration{}
	for _, d := range s.starts {
		out = append(out, unit.Duration(d))
	}
	return out
}

// at returns the last decision at or before a time.
func (s *caseRunner) at(t time.Time) *policy.Decision {
	for i := len(s.out) - 1; i >= 0; i-- {
		if !s.out[i].At.After(t) {
			return &s.out[i]
		}
	}
	return nil
}

// changes lists the decisions that differ from their predecessors, and all starts, as expectations.
func (s *caseRunner) changes() []Expectation {
	var out []Expectation
	for i := range s.out {
		at := unit.Duration(s.out[i].At.Sub(s.start))
		e := observed(&s.out[i], &at)
		if n := len(out); n > 0 && len(out[n-1].differences(e)) == 0 {
			continue
		}
		out = append(out, e)
	}
	starts := s.startTimes()
	return append(out, Expectation{Starts: &starts})
}

// observed returns a decision in the form of an expectation.
func observed(d *policy.Decision, at *unit.Duration) Expectation {
	because, blocked := []string{}, []policy.Reason{}
	for _, c := range d.Conditions {
		if c.Tripped {
			name := strings.TrimPrefix(c.Config, "retrain_when.")
			if c.Config == "" {
				name = c.Name
			}
			because = append(because, name)
		}
	}
	if d.Verdict == policy.VerdictRetrain || d.Verdict == policy.VerdictRollback {
		for _, b := range d.Blocked {
			blocked = append(blocked, b.Reason)
		}
	}
	return Expectation{At: at, Decision: d.Doing(), Reason: d.Reason, Because: &because, Blocked: &blocked}
}

// differences lists the fields that e expects to have a value, and in which `got` has another one.
func (e Expectation) differences(got Expectation) []Difference {
	var out []Difference
	add := func(what, want, is string) { out = append(out, Difference{what, want, is}) }
	if e.Decision != "" && e.Decision != got.Decision {
		add("decision", string(e.Decision), string(got.Decision))
	}
	if e.Reason != "" && e.Reason != got.Reason {
		add("reason", string(e.Reason), cmp.Or(string(got.Reason), "none"))
	}
	if e.Because != nil && !sameSet(*e.Because, *got.Because) {
		add("because", list(*e.Because), list(*got.Because))
	}
	if e.Blocked != nil && !sameSet(*e.Blocked, *got.Blocked) {
		add("blocked", list(*e.Blocked), list(*got.Blocked))
	}
	return out
}

// kept returns the observed decision and reason, and of the other fields those that are expected.
func (e Expectation) kept(got Expectation) Expectation {
	out := Expectation{At: e.At, Decision: got.Decision, Reason: got.Reason}
	if e.Because != nil {
		out.Because = got.Because
	}
	if e.Blocked != nil {
		out.Blocked = got.Blocked
	}
	return out
}

func sameSet[T ~string](a, b []T) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func list[T any](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// YAML formats an expectation as a line of a test file.
func (e Expectation) YAML() string {
	var parts []string
	if e.Starts != nil {
		return "{starts: " + list(*e.Starts) + "}"
	}
	parts = append(parts, "at: "+e.At.String())
	if e.Decision != "" {
		parts = append(parts, "decision: "+string(e.Decision))
	}
	if e.Reason != "" {
		parts = append(parts, "reason: "+string(e.Reason))
	}
	if e.Because != nil && len(*e.Because) > 0 {
		parts = append(parts, "because: "+list(*e.Because))
	}
	if e.Blocked != nil && len(*e.Blocked) > 0 {
		parts = append(parts, "blocked: "+list(*e.Blocked))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
