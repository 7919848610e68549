package playback

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
)

// caseRunner runs a test: it builds reports from the series, and simulates the daemon's loop on these reports.
type caseRunner struct {
	policy   *policy.Policy
	c        *Case
	start    time.Time
	series   map[string][]sample
	length   int
	history  policy.History
	ends     time.Time // of the active run
	release  int
	promoted time.Time
	base     drift.Baseline
	offset   int             // changed labels at the last promotion
	trained  map[string]bool // categories of the series new.NAME that existed at a promotion
	seq      int64
	last     string // figures of the labels in the previous report
	out      []policy.Decision
	starts   []time.Duration
}

// ParseCaseTime parses a test's time in a zone.
func ParseCaseTime(given string, loc *time.Location) (time.Time, error) {
	for _, layout := range []string{
		"2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05",
		time.DateOnly, time.RFC3339,
	} {
		if t, err := time.ParseInLocation(layout, given, loc); err == nil {
			return t.In(loc), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write 2027-03-27 20:00", text.Cut(given, 60))
}

// play makes decisions like the daemon: at every step that has an evaluation, and in between whenever one is due.
func play(p *policy.Policy, c *Case) (*caseRunner, error) {
	start, err := ParseCaseTime(c.Start, p.Windows().Location())
	if err != nil {
		return nil, err
	}
	s := &caseRunner{
		policy: p, c: c, start: start, series: map[string][]sample{}, promoted: start.Add(-c.Age.D()),
		trained: map[string]bool{},
	}
	for name, values := range c.Series {
		if s.series[name], err = parseSeries(values, name == "state"); err != nil {
			return nil, fmt.Errorf("series %s: %w", name, err)
		}
		s.length = max(s.length, len(s.series[name]))
	}
	s.history.Info = "0"
	for _, past := range c.Past {
		ended := start.Add(-past.Ago.D())
		run := policy.RunFact{
			ID: fmt.Sprintf("past-%d", len(s.history.Runs)+1), Started: ended.Add(-past.Took.D()),
			Ended: ended, Outcome: past.Outcome, Info: "before",
		}
		if past.SameLabels {
			run.Info = s.history.Info
		}
		s.history.Runs = append(s.history.Runs, run)
	}
	slices.SortStableFunc(s.history.Runs, func(a, b policy.RunFact) int { return b.Started.Compare(a.Started) })
	s.history.Needs = c.Runs.Take.D()
	if c.Runs.Need != nil {
		s.history.Needs = c.Runs.Need.D()
	}
	first := s.figure("accuracy", 0, 0.9)
	if c.Baseline != nil {
		first = c.Baseline.F()
	}
	s.rebase(first, s.figure("macro_f1", 0, first))
	var r drift.Report
	known := false
	for i := range s.length {
		at, until := start.Add(time.Duration(i)*c.Step.D()), start.Add(time.Duration(i+1)*c.Step.D())
		if s.evaluated(i) {
			r, known = s.report(i, at), true
			s.decide(r, i, at)
		}
		for known {
			due := s.due(&r, at, until)
			if due.IsZero() {
				break
			}
			if at = due; !s.ends.IsZero() && !at.Before(s.ends) { // the end of a run causes a report
				s.end(i)
				r = s.report(i, at)
			}
			s.decide(r, i, at)
		}
	}
	return s, nil
}

// evaluated reports whether a step has an evaluation. It has none only if every series contains _ for this step.
func (s *caseRunner) evaluated(i int) bool {
	for _, list := range s.series {
		if i >= len(list) || list[i].given {
			return true
		}
	}
	return false
}

// figure returns the value of a series at a step, or the last earlier value if the step has none. If there is no
// earlier value either, it returns the parameter `otherwise`.
func (s *caseRunner) figure(name string, i int, otherwise float64) float64 {
	list := s.series[name]
	for i = min(i, len(list)-1); i >= 0; i-- {
		if list[i].given {
			return list[i].value
		}
	}
	return otherwise
}

func (s *caseRunner) rebase(accuracy, macroF1 float64) {
	n := s.c.HeldOut
	correct := int(math.Round(accuracy * float64(n)))
	s.base = drift.Baseline{N: n, Correct: correct, MacroF1: macroF1, At: s.promoted}
	if n > 0 {
		s.base.Accuracy = float64(correct) / float64(n)
	}
}

// report builds a report from the series. Accuracies are rounded to whole items. Unless the test says otherwise, each
// right answer lost since the promotion counts as the correction of a label.
func (s *caseRunner) report(i int, at time.Time) drift.Report {
	base := s.base
	r := drift.Report{
		Model: s.c.Name, At: at, Release: fmt.Sprintf("release-%d", s.release), State: drift.StateOK,
		Target: "label", Baseline: &base,
	}
	for j := min(i, len(s.series["state"])-1); j >= 0; j-- {
		if word := s.series["state"][j].word; word != "" {
			r.State = drift.State(word)
			break
		}
	}
	if r.State == drift.StateNoRelease {
		r.Release, r.Baseline = "", nil
	}
	r.HeldOut = s.c.HeldOut
	r.Scored = int(s.figure("scored", i, float64(s.c.HeldOut)))
	r.Correct = int(math.Round(s.figure("accuracy", i, base.Accuracy) * float64(r.Scored)))
	if r.Scored > 0 {
		r.Accuracy = float64(r.Correct) / float64(r.Scored)
	}
	if r.State == drift.StateOK && r.Scored < s.policy.Config().Evaluate.MinItems {
		r.State = drift.StateInsufficient
	}
	r.Low, r.High = stats.Wilson(r.Correct, r.Scored)
	r.MacroF1 = s.figure("macro_f1", i, r.Accuracy)
	if r.Baseline != nil {
		r.Drop = math.Round((base.Accuracy-r.Accuracy)*1e11) / 1e9
		r.MacroF1Drop = math.Round((base.MacroF1-r.MacroF1)*1e11) / 1e9
	}
	lost := max(0, base.Correct-r.Correct)
	r.Relabels.RightToWrong = int(s.figure("right_to_wrong", i, float64(lost)))
	r.Relabels.WrongToRight = int(s.figure("wrong_to_right", i, 0))
	r.Relabels.P = stats.SignTest(r.Relabels.RightToWrong, r.Relabels.WrongToRight)
	r.NewItems = drift.NewItems{
		N: int(s.figure("new_items", i, 0)), Errors: int(s.figure("new_errors", i, 0)),
		Alarmed: s.figure("alarmed", i, 0) != 0,
	}
	if r.NewItems.Alarmed { // the test alarms only at a rise of at least the configured points
		r.NewItems.Drop = s.policy.Config().Tests(drift.Options{}).DropPoints
	}
	r.Labels = drift.Labels{
		Items: s.c.Items, Changed: max(0, int(s.figure("changed", i, 0))-s.offset),
		PSI: s.figure("psi", i, 0),
	}
	if r.Labels.Items > 0 {
		r.Labels.Share = float64(r.Labels.Changed) / float64(r.Labels.Items)
	}
	s.categories(&r, i)
	// Info must change exactly when one of these figures does.
	if now := fmt.Sprint(r.Correct, s.figure("changed", i, 0), r.Relabels, r.Labels.New, r.Category); now != s.last {
		if s.last != "" {
			s.seq++
		}
		s.last = now
	}
	r.Seq = s.seq
	s.history.Info = fmt.Sprint(s.seq)
	return r
}

// categories adds the series of single categories to a report.
func (s *caseRunner) categories(r *drift.Report, i int) {
	for _, name := range sortedKeys(s.series) {
		if category, ok := strings.CutPrefix(name, "recall."); ok {
			support := int(s.figure("support."+category, i, 100))
			correct := int(math.Round(s.figure(name, i, 0) * float64(support)))
			k := drift.Category{Name: category, Support: support, Correct: correct}
			if support > 0 {
				k.Recall = float64(correct) / float64(support)
			}
			r.Category = append(r.Category, k)
		}
		if category, ok := strings.CutPrefix(name, "new."); ok && !s.trained[category] {
			if n := int(s.figure(name, i, 0)); n > 0 {
				if r.Labels.New == nil {
					r.Labels.New = map[string]int{}
				}
				r.Labels.New[category] = n
			}
		}
	}
}

// due returns when the daemon would evaluate again before the next step; zero if nothing is pending.
func (s *caseRunner) due(r *drift.Report, at, until time.Time) time.Time {
	next := until
	sooner := func(t time.Time) {
		if t.After(at) && t.Before(next) {
			next = t
		}
	}
	if n := len(s.out); n > 0 {
		d := &s.out[n-1]
		if d.Verdict == policy.VerdictRetrain {
			for _, b := range d.Blocked {
				sooner(b.Until)
			}
		}
		for _, c := range d.Conditions {
			sooner(c.Trips)
		}
	}
	sooner(s.ends)
	for _, e := range s.c.Events {
		sooner(s.start.Add(e.At.D()))
	}
	for _, c := range conditions(s.policy) {
		if c.MaxAge != nil && r.Baseline != nil {
			sooner(r.Baseline.At.Add(c.MaxAge.Age.D()))
		}
	}
	if !next.Before(until) {
		return time.Time{}
	}
	return next
}

// end ends the active run. A promotion sets a new baseline from the figures of the step.
func (s *caseRunner) end(i int) {
	s.history.Active = ""
	s.history.Runs[0].Ended, s.history.Runs[0].Outcome = s.ends, s.c.Runs.Outcome
	if s.c.Runs.Outcome == policy.OutcomePromoted {
		s.release++
		s.promoted, s.offset = s.ends, int(s.figure("changed", i, 0))
		for name := range s.series {
			if category, ok := strings.CutPrefix(name, "new."); ok && s.figure(name, i, 0) > 0 {
				s.trained[category] = true
			}
		}
		accuracy := s.figure("accuracy", i, s.base.Accuracy)
		s.rebase(accuracy, s.figure("macro_f1", i, accuracy))
	}
	s.ends = time.Time{}
}

func (s *caseRunner) decide(r drift.Report, i int, now time.Time) {
	if !s.ends.IsZero() && !now.Before(s.ends) {
		s.end(i)
		r = s.report(i, now)
	}
	s.people(now)
	d := s.policy.Decide(r, s.history, now)
	s.out = append(s.out, d)
	s.history.Last = &s.out[len(s.out)-1]
	if d.Start() {
		s.history.Force = nil
		s.starts = append(s.starts, now.Sub(s.start))
		s.history.Active = fmt.Sprintf("run-%d", len(s.starts))
		s.ends = now.Add(s.c.Runs.Take.D())
		s.history.Runs = append([]policy.RunFact{{
			ID: s.history.Active, Started: now, Info: s.history.Info, Forced: d.Forced,
		}}, s.history.Runs...)
	}
}

// people applies the test's events up to now, each once.
func (s *caseRunner) people(now time.Time) {
	var before time.Time
	if n := len(s.out); n > 0 {
		before = s.out[n-1].At
	}
	for _, e := range s.c.Events {
		at := s.start.Add(e.At.D())
		if at.After(now) || !at.After(before) && !before.IsZero() {
			continue
		}
		if e.Resume {
			s.history.Held, s.history.Paused = nil, nil
		}
		if e.Force {
			s.history.Force = &policy.Force{By: "the test"}
		}
		if e.Hold {
			s.history.Held = &policy.Hold{Reason: "requested by the test"}
		}
		if e.Pause > 0 {
			s.history.Paused = &policy.Hold{Since: at, Until: at.Add(e.Pause.D())}
		}
	}
}
