package simulate

import (
	"slices"

	"github.com/retraind/retraind/policy"
)

// Falses is how often a policy retrained although nothing had changed.
type Falses struct {
	Years    float64
	Labels   int
	Retrains int
}

// PerYear is the measured rate.
func (f Falses) PerYear() float64 {
	if f.Years == 0 {
		return 0
	}
	return float64(f.Retrains) / f.Years
}

// CountFalses plays streams of so many years each and looks after every so many labels. After a retrain the model is as
// good as before, and is measured anew. seed makes the streams others.
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

// Found is how a rule found a change.
type Found struct {
	Streams int
	Early   int   // it tripped before the change: a false retrain, not a finding
	Delays  []int // labels from the change to the finding, sorted
}

// Share of the streams in which the change was found, of those in which nothing tripped before it.
func (f Found) Share() float64 {
	if f.Streams == f.Early {
		return 0
	}
	return float64(len(f.Delays)) / float64(f.Streams-f.Early)
}

// Median delay in labels; 0 where nothing was found.
func (f Found) Median() int {
	if len(f.Delays) == 0 {
		return 0
	}
	return f.Delays[len(f.Delays)/2]
}

// Rule says after each label whether it trips; it is made anew for each stream.
type Rule func(s *Stream, wrong bool) bool

// Policy is the rule that the stream's own policy is, looked at after each label.
func Policy(s *Stream, _ bool) bool { return s.Decide().Verdict == policy.VerdictRetrain }

// Find plays streams with a jump through several rules at once, up to so many labels after the jump.
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
