package simulate

import (
	"slices"

	"github.com/retraind/retraind/policy"
)

// Falses counts how often a policy retrained although nothing had changed.
type Falses struct {
	Years    float64
	Labels   int
	Retrains int
}

// PerYear returns the number of false retrains a year.
func (f Falses) PerYear() float64 {
	if f.Years == 0 {
		return 0
	}
	return float64(f.Retrains) / f.Years
}

// CountFalses simulates streams of the given number of years, and makes a decision after each group of `every` labels.
// After a retrain the present figures are the new baseline. seed selects the random streams.
func CountFalses(w World, p *policy.Policy, streams, years, every int, seed uint64) Falses {
	f := Falses{}
	for i := range streams {
		s := New(w, p, seed+uint64(i))
		labels := int(w.PerDay * 365 * float64(years))
		for n := 1; n <= labels; n++ {
			s.Next()
			if n%every == 0 && s.Decide().Verdict == policy.VerdictRetrain {
				f.Retrains++
				s.Retrain()
			}
		}
		f.Labels += labels
		f.Years += float64(years)
	}
	return f
}

// Found is how quickly a rule detected a change.
type Found struct {
	Streams int
	Early   int   // streams in which it tripped before the change: a false retrain, not a detection
	Delays  []int // labels from the change to the detection, sorted
}

// Share returns the fraction of the streams in which the change was detected, among those without an earlier false
// retrain.
func (f Found) Share() float64 {
	if f.Streams == f.Early {
		return 0
	}
	return float64(len(f.Delays)) / float64(f.Streams-f.Early)
}

// Median returns the median delay in labels, 0 if nothing was detected.
func (f Found) Median() int {
	if len(f.Delays) == 0 {
		return 0
	}
	return f.Delays[len(f.Delays)/2]
}

// Rule reports after each label whether it trips; a new Rule is created for each stream.
type Rule func(s *Stream, wrong bool) bool

// Policy is the rule of the stream's own policy, evaluated after each label.
func Policy(s *Stream, _ bool) bool { return s.Decide().Verdict == policy.VerdictRetrain }

// Find simulates streams with a jump, and applies all rules to each of them until every rule has tripped or `horizon`
// labels have arrived after the jump. The results are in the order of the rules.
func Find(w World, p *policy.Policy, rules []func() Rule, streams, horizon int, seed uint64) []Found {
	out := make([]Found, len(rules))
	for i := range streams {
		s := New(w, p, seed+uint64(i))
		waiting := make([]Rule, len(rules))
		for k, r := range rules {
			waiting[k] = r()
			out[k].Streams++
		}
		for n, left := 1, len(rules); n <= w.JumpAt+horizon && left > 0; n++ {
			wrong := s.Next()
			for k, trips := range waiting {
				if trips == nil || !trips(s, wrong) {
					continue
				}
				waiting[k] = nil
				left--
				if n <= w.JumpAt {
					out[k].Early++
				} else {
					out[k].Delays = append(out[k].Delays, n-w.JumpAt)
				}
			}
		}
	}
	for k := range out {
		slices.Sort(out[k].Delays)
	}
	return out
}
