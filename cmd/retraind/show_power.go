package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

const (
	checkPower = 0.8
	nullYears  = 100
	// simulatedLabels limits the simulated labels of a probation: more would change little and take long.
	simulatedLabels = 5000
)

// lastReport reads the last evaluation of a model from the state directory. It returns nil if there is none, or if this
// user may not read it.
func lastReport(state, model string) (*drift.Report, error) {
	s, err := store.OpenReader(state)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var out *drift.Report
	err = s.View(context.Background(), func(t *store.Tx) error {
		found, err := t.Reports(model, time.Time{}, 1)
		if err != nil || len(found) == 0 {
			return err
		}
		out = &drift.Report{}
		return json.Unmarshal([]byte(found[0].Body), out)
	})
	return out, err
}

// showPower explains the thresholds at the actual size of the held-out set.
func (p *page) showPower(c policy.Config, promote actions.PromoteConfig, r *drift.Report) {
	if r == nil || r.Scored == 0 {
		p.field("evidence", "unknown: no held-out item is scored yet")
		return
	}
	p.field("evidence", fmt.Sprintf("%s held-out items, %.1f%% right, 95%% interval ±%.1f points",
		text.Count(r.Scored), 100*r.Accuracy, 100*stats.HalfWidth(r.Correct, r.Scored)))
	if drop := stats.SmallestDrop(r.Accuracy, r.Scored, r.Scored, policy.ScoreLevel, checkPower); math.IsNaN(drop) {
		p.field("", "too few items to detect any drop in accuracy with 80% power")
	} else {
		p.field("", fmt.Sprintf("smallest drop in accuracy that is detected with 80%% power: %.1f points", 100*drop))
	}
	if said := clusters(c, r.NewItems); said != "" {
		p.field("", said)
	}
	if text := gateText(promote, r.Scored); text != "" {
		p.field("", text)
	}
	rate := r.Labels.Rate
	if rate == 0 && r.Labels.RateDays == 0 {
		rate = rateUnknown
	}
	if t := c.Probation; t != nil {
		p.field("", found(*t, *r, rate))
	}
	rows := thresholds(c, *r, rate)
	if len(rows) == 0 {
		return
	}
	p.line("", 0)
	come := fmt.Sprintf("%.1f held-out labels per day arrive", rate)
	if rate == rateUnknown {
		come = "labels keep arriving at the present rate (not known yet: it is measured from the second day on)"
	}
	p.line("    expected false retrains, if nothing changes and "+come+":", 4)
	p.table(4, []string{"condition", "threshold", "per year"}, rows...)
}

// clustersKnown is the number of new items from which the dependence of their errors is known.
const clustersKnown = 500

// rateUnknown replaces the number of labels per day on the first day, because most labels of that day existed before.
const rateUnknown = -1

const notKnown = "unknown until labels have arrived for a day"

// clusters describes what clustered errors mean for the guarantees. It returns "" if the policy promises no rates, or
// if the errors were measured and are not clustered.
func clusters(c policy.Config, n drift.NewItems) string {
	promised := c.Probation != nil
	for _, w := range []policy.Conditions{c.RetrainWhen, c.UrgentWhen} {
		promised = promised || w.CategoryRecallDrop != nil || w.AccuracyDrop != nil && !w.AccuracyDrop.FalseRetrains.IsZero()
	}
	if !promised {
		return ""
	}
	if n.Dependence >= 1.05 {
		return fmt.Sprintf("wrong answers are correlated: %.1f new items count as one, which keeps the promised rates below "+
			"valid but detects a rise in errors that many times later", n.Dependence)
	}
	if n.N < clustersKnown {
		return fmt.Sprintf("the promised rates below assume that errors are independent; whether they are is measured after %d "+
			"new items", clustersKnown)
	}
	return ""
}

// found describes which drop of accuracy a probation detects, for a release with the measured accuracy of the present
// one.
func found(t policy.Probation, r drift.Report, rate float64) string {
	if rate == rateUnknown {
		return fmt.Sprintf("smallest drop that a probation of %s detects: %s", t.For, notKnown)
	}
	labels := int(rate * t.For.D().Hours() / 24)
	tolerated := stats.ToleratedError(r.Correct, r.Scored)
	fault := stats.SmallestFault(1-r.Accuracy, tolerated, t.FalseRollbacks.F(), min(labels, simulatedLabels), checkPower)
	said := fmt.Sprintf("a probation of %s sees about %s", t.For, text.Plural(labels, "new held-out label"))
	if math.IsNaN(fault) {
		return said + ", too few to detect any drop in accuracy with 80% power"
	}
	if labels > simulatedLabels {
		return said + fmt.Sprintf("; the first %s are enough to detect a drop of %.1f points with 80%% power",
			text.Count(simulatedLabels), 100*fault)
	}
	return said + fmt.Sprintf(", enough to detect a drop of %.1f points with 80%% power", 100*fault)
}

// thresholds describes how often each condition trips although nothing has changed.
func thresholds(c policy.Config, r drift.Report, rate float64) [][]string {
	var rows [][]string
	var simulated []int
	var trips []func(drift.Report) bool
	simulate := func(name, bound string, trip func(drift.Report) bool) {
		if trip(r) {
			rows = append(rows, []string{name, bound, "it trips now"})
			return
		}
		simulated, trips = append(simulated, len(rows)), append(trips, trip)
		rows = append(rows, []string{name, bound, ""})
	}
	promise := func(name, bound string, rate unit.Rate) {
		said := "no rate is promised"
		if rate.Count > 0 && rate.Per > 0 {
			said = fmt.Sprintf("at most %.1f, as promised (%s)", float64(rate.Count)*365*24/time.Duration(rate.Per).Hours(),
				rate)
		}
		rows = append(rows, []string{name, bound, said})
	}
	for _, group := range []struct {
		prefix string
		policy.Conditions
	}{{"", c.RetrainWhen}, {"urgent: ", c.UrgentWhen}} {
		w := group.Conditions
		if a := w.AccuracyBelow; a != nil {
			simulate(group.prefix+"accuracy_below", a.Share.String(),
				func(r drift.Report) bool { return r.Accuracy < a.Share.F() })
		}
		if a := w.AccuracyDrop; a != nil {
			promise(group.prefix+"accuracy_drop", a.Points.String(), a.FalseRetrains)
		}
		if m := w.MacroF1Drop; m != nil {
			from := r.MacroF1
			simulate(group.prefix+"macro_f1_drop", m.Points.String(),
				func(r drift.Report) bool { return 100*(from-r.MacroF1) >= m.Points.F() })
		}
		if rc := w.CategoryRecallBelow; rc != nil {
			floor := func(name string) (float64, bool) {
				if own, ok := rc.Category[name]; ok {
					return own.F(), true
				}
				if rc.All != nil {
					return rc.All.F(), true
				}
				return 0, false
			}
			bound := ""
			if rc.All != nil {
				bound = rc.All.String()
			}
			for _, name := range slices.Sorted(maps.Keys(rc.Category)) {
				if bound != "" {
					bound += ", "
				}
				bound += text.Cut(name, 20) + " " + rc.Category[name].String()
			}
			simulate(group.prefix+"category_recall_below", bound, func(r drift.Report) bool {
				for _, cat := range r.Category {
					if least, ok := floor(cat.Name); ok && cat.Support >= rc.MinItems && cat.Recall < least {
						return true
					}
				}
				return false
			})
		}
		if d := w.CategoryRecallDrop; d != nil {
			promise(group.prefix+"category_recall_drop", d.Points.String(), d.FalseRetrains)
		}
		rows = append(rows, others(group.prefix, w, r, rate)...)
	}
	for i, perYear := range drift.FalseAlarms(r, rate, nullYears, trips) {
		said := fmt.Sprintf("about %.1f", perYear)
		switch {
		case rate == rateUnknown:
			said = notKnown
		case rate <= 0:
			said = "none: no held-out labels arrive"
		case perYear < 0.05:
			said = "less than 0.1"
		}
		rows[simulated[i]][2] = said
	}
	return rows
}
