package drift

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/serving"
)

// Report returns the current report. It takes a few microseconds for any number of items, plus a few hundred
// nanoseconds for each item that retraind itself relabelled since the promotion.
func (m *Monitor) Report(now time.Time) Report {
	b := m.confusions[0]
	s := b.scores()
	r := Report{
		Model: m.opts.Model, At: now, Release: m.release.Digest, Target: b.target.Name, Seq: m.seq,
		HeldOut: m.counts.heldOut, Leaked: m.counts.leaked, Scored: s.N, FormatErrors: b.unfitN,
		Figures: b.figures(m.release.Baseline), People: m.figuresByPeople(), Targets: m.otherTargets(),
	}
	if base := m.release.Baseline; base != nil {
		kept := *base
		kept.Dependence = nil
		r.Baseline = &kept
	}
	t := &m.tests
	r.Relabels = Relabels{
		RightToWrong: t.rightToWrong, WrongToRight: t.wrongToRight,
		P: stats.SignTest(t.rightToWrong, t.wrongToRight), Authors: len(t.authors),
	}
	rise := m.risen()
	r.NewItems = NewItems{
		N: t.arrivals.N, Errors: t.arrivals.Errs, E: t.arrivals.E(),
		Bound: m.bound(m.opts.FalseRetrains, dayOf(now)), Alarmed: t.alarmed,
		Dependence: t.arrivals.Factor(), Since: rise.Since, Estimate: points(rise.Estimate), Drop: points(rise.Low),
		Category: m.categoryStreams(dayOf(now)),
	}
	if t.alarmed { // Drop does not fall below its value at the alarm
		r.NewItems.Drop = max(t.rise, r.NewItems.Drop)
	}
	r.Probation = t.trial.report()
	r.Labels = m.labelFigures(now)
	r.State, r.Detail = m.state(s)
	return r
}

func (b *confusion) figures(base *Baseline) Figures {
	s := b.scores()
	f := Figures{
		Correct: s.Correct, Accuracy: s.Accuracy, Majority: s.Majority,
		MacroF1: s.MacroF1, Balanced: s.Balanced, Kappa: s.Kappa, MCC: s.MCC, Category: b.categories(),
	}
	f.Low, f.High = stats.Wilson(s.Correct, s.N)
	f.AnytimeLow, f.AnytimeHigh = stats.ConfidenceSequence(s.Correct, s.N, 0.95)
	if base != nil {
		f.Drop, f.MacroF1Drop = points(base.Accuracy-s.Accuracy), points(base.MacroF1-s.MacroF1)
	}
	return f
}

// otherTargets returns the figures of the targets that do not gate, in the order of the configuration.
func (m *Monitor) otherTargets() []TargetFigures {
	var out []TargetFigures
	for _, b := range m.confusions[1:] {
		s := b.scores()
		f := TargetFigures{Name: b.target.Name, N: s.N, Correct: s.Correct, Accuracy: s.Accuracy, MacroF1: s.MacroF1}
		f.Low, f.High = stats.Wilson(s.Correct, s.N)
		out = append(out, f)
	}
	return out
}

// Scores returns the figures and the categories of one target, gating or not.
func (m *Monitor) Scores(target string) (Scores, []Category, bool) {
	for _, b := range m.confusions {
		if b.target.Name == target {
			return b.scores(), b.categories(), true
		}
	}
	return Scores{}, nil, false
}

// plain returns a scorer's error without its "score:" prefix.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "score: ") }

// state reports whether the figures may be used for a decision, and if not, why in one sentence.
func (m *Monitor) state(s Scores) (State, string) {
	waiting := len(m.unscored)
	switch {
	case m.release.Digest == "" && m.trouble != nil:
		return StateError, plain(m.trouble)
	case m.release.Digest == "":
		return StateNoRelease, "no release is deployed yet"
	case waiting > 0 && errors.Is(m.trouble, serving.ErrAsleep):
		return StateAsleep, fmt.Sprintf("%d of %d held-out texts are not scored: %s", waiting, m.counts.heldOut, plain(m.trouble))
	case waiting > 0 && m.trouble != nil:
		return StateError, fmt.Sprintf("%d of %d held-out texts are not scored: %s", waiting, m.counts.heldOut, plain(m.trouble))
	case waiting > 0:
		return StateUnscored, fmt.Sprintf("%d of %d held-out texts are not scored yet", waiting,
			m.counts.heldOut)
	case s.N == 0 && m.counts.leaked > 0:
		return StateInsufficient, fmt.Sprintf("all %d held-out items were in this release's training data", m.counts.leaked)
	case s.N == 0:
		return StateInsufficient, "the held-out set is empty"
	case s.N < m.opts.MinItems:
		return StateInsufficient, fmt.Sprintf("%d scored held-out items are fewer than the %d that evaluate.min_items "+
			"asks for", s.N, m.opts.MinItems)
	}
	return StateOK, ""
}

// labelFigures compares the labels with the training snapshot. New counts only examples outside the held-out set,
// because only these are trained on. PSI, JS and Chi also compare only these.
func (m *Monitor) labelFigures(now time.Time) Labels {
	l := Labels{
		Items: m.counts.labelled, Changed: m.counts.changed, Own: m.counts.own,
		Share: share(m.counts.changed, m.counts.labelled),
	}
	l.Rate, l.RateDays = m.days.rate(dayOf(now))
	then := m.release.TrainLabels
	if len(then) == 0 {
		return l
	}
	mix := m.labelMix()
	for name, n := range mix {
		if then[name] == 0 {
			if l.New == nil {
				l.New = map[string]int{}
			}
			l.New[name] = n
		}
	}
	for name, n := range then {
		if n > 0 && mix[name] == 0 && !m.carried(name) {
			if l.Gone == nil {
				l.Gone = map[string]int{}
			}
			l.Gone[name] = n
		}
	}
	chi := stats.NewChiSquare(then, mix)
	l.PSI, l.JS, l.Chi = stats.PSI(then, mix), stats.JensenShannon(then, mix), &chi
	return l
}

// labelMix counts the gating target's labels outside the held-out set.
func (m *Monitor) labelMix() map[string]int {
	mix := make(map[string]int, len(m.mix))
	for label, n := range m.mix {
		mix[m.confusions[0].values.list[label]] = n
	}
	return mix
}

// carried reports whether any scored held-out item has the label; it is always false for sets.
func (m *Monitor) carried(name string) bool {
	b := m.confusions[0]
	v, ok := b.values.index[name]
	return ok && b.target.Kind != serving.KindSet && b.tallies[v].support > 0
}

// points converts a difference of fractions to percentage points, rounded so that 0.83-0.80 is 3 and not
// 2.9999999999999996.
func points(d float64) float64 { return math.Round(d*1e11) / 1e9 }
