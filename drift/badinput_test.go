package drift_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
)

// promise is one false retrain in 180 days.
var promise = unit.Rate{Count: 1, Per: unit.Duration(180 * 24 * time.Hour)}

// With a clock that goes backwards, stands still or was never set, every figure is a number, and no bound is too low.
func TestClockGoesBackwards(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{FalseRetrains: promise}, []string{"a", "b"}, []string{"a", "b"})
	b.rebase(t)
	for i, at := range []time.Time{
		noon, noon.AddDate(0, 0, 9), noon.AddDate(0, 0, -400),
		{},
		time.Unix(-5, 0), noon, noon.AddDate(-50, 0, 0),
		noon.AddDate(0, 0, 8),
	} {
		b.seq++
		id := fmt.Sprint("x", i)
		b.Put(drift.LabelChange{
			Item: id, Heldout: true, TextHash: hash(id), New: label("a"), Inserted: true, At: at,
			Seq: b.seq,
		})
		b.Answer(id, hash(id), label("a"))
	}
	for _, now := range []time.Time{noon, noon.AddDate(0, 0, -1000), {}, noon.AddDate(200, 0, 0)} {
		r := b.Report(now)
		if r.NewItems.N != 8 || r.NewItems.Alarmed || !(r.NewItems.Bound >= 180) || math.IsNaN(r.Labels.Rate) ||
			r.Labels.Rate < 0 {
			t.Errorf("at %v: %+v, rate %v", now, r.NewItems, r.Labels.Rate)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("at %v: %v", now, err)
		}
	}
}

// With sets of items that are too small for statistics, every figure is a number and nothing alarms.
func TestExtremes(t *testing.T) {
	t.Parallel()
	opts := drift.Options{
		FalseRetrains: promise, MinItems: 3,
		Categories: drift.CategoryTests{FalseRetrains: promise, MinItems: 1},
	}
	for name, c := range map[string]struct {
		truth, answers []string
		state          drift.State
		accuracy       float64
	}{
		"no item":            {nil, nil, drift.StateInsufficient, 0},
		"one item":           {[]string{"a"}, []string{"a"}, drift.StateInsufficient, 1},
		"all right":          {[]string{"a", "b", "a"}, []string{"a", "b", "a"}, drift.StateOK, 1},
		"all wrong":          {[]string{"a", "b", "a"}, []string{"b", "a", "b"}, drift.StateOK, 0},
		"one category":       {[]string{"a", "a", "a"}, []string{"a", "a", "a"}, drift.StateOK, 1},
		"a category of one":  {[]string{"a", "a", "rare"}, []string{"a", "a", "a"}, drift.StateOK, 2. / 3},
		"an unknown answer":  {[]string{"a", "a", "a"}, []string{"a", "a", "never seen"}, drift.StateOK, 2. / 3},
		"an empty text name": {[]string{"", "a", "a"}, []string{"", "a", "a"}, drift.StateOK, 1},
	} {
		b := setup(t, opts, c.truth, c.answers)
		b.rebase(t)
		r := b.Report(noon)
		if r.State != c.state {
			t.Errorf("%s: state %s, want %s", name, r.State, c.state)
		}
		near(t, name, r.Accuracy, c.accuracy, 1e-12)
		if !(r.Low <= r.Accuracy && r.Accuracy <= r.High || r.Scored == 0) || !(r.AnytimeLow <= r.Low+1e-9 &&
			r.AnytimeHigh >= r.High-1e-9) {
			t.Errorf("%s: (%v, %v) in (%v, %v)", name, r.Low, r.High, r.AnytimeLow, r.AnytimeHigh)
		}
		if _, err := json.Marshal(r); err != nil { // NaN and infinities do not marshal
			t.Errorf("%s: %v", name, err)
		}
		for i := range 5 { // and the first items after such a baseline cause no alarm
			b.arrive(fmt.Sprint("n", i), "a", "a")
		}
		if r := b.Report(noon); r.NewItems.Alarmed || r.NewItems.N != 5 {
			t.Errorf("%s: %+v", name, r.NewItems)
		}
	}
}

// If nothing changes, the tests of all categories together keep the promised rate. Each stream has the error rates of
// the baseline, and as many labels as arrive in the time in which one false alarm is allowed.
func TestCategoriesKeepTheirPromise(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	const streams, categories, each = 12, 4, 60
	opts := drift.Options{Categories: drift.CategoryTests{
		DropPoints:    10,
		FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(30 * 24 * time.Hour)}, MinItems: 30,
	}}
	alarms, found := 0, 0
	for s := range streams {
		var truth, answers []string
		for i := range categories * each {
			truth = append(truth, fmt.Sprint("c", i%categories))
			answers = append(answers, truth[i])
			if i/categories%10 == 0 {
				answers[i] = "other"
			}
		}
		b := setup(t, opts, truth, answers)
		b.rebase(t)
		errors := make([]bool, 4000)
		for i := range errors { // one in ten, as in the tests of drift/stats
			errors[i] = (i*i*7919+i*104729+i*i*i*31)%1000 < 100
		}
		day := 0
		play := func(n int, miss func(i int, category string) bool) {
			for i := range n {
				c := fmt.Sprint("c", i%categories)
				a := c
				if miss(i, c) {
					a = "other"
				}
				b.seq++
				id := fmt.Sprint("n", b.seq)
				b.Put(drift.LabelChange{
					Item: id, Heldout: true, TextHash: hash(id), New: label(c), Inserted: true,
					At: noon.AddDate(0, 0, day+i/20), Seq: b.seq,
				})
				b.Answer(id, hash(id), label(a))
			}
			day += n / 20
		}
		alarmed := func() (which string) {
			for _, c := range b.Report(noon).NewItems.Category {
				if c.Alarmed {
					which += c.Name
				}
			}
			return which
		}
		play(600, func(i int, _ string) bool { return errors[(i+s*311)%4000] })
		if alarmed() != "" {
			alarms++
		}
		play(400, func(i int, c string) bool { return errors[(i+s*311)%4000] || c == "c2" && i%8 < 5 })
		if alarmed() == "c2" {
			found++
		}
	}
	// At 20 a day, the 600 labels arrive in the 30 days in which one false alarm is allowed.
	if alarms > 2 {
		t.Errorf("false alarms in %d of %d streams", alarms, streams)
	}
	if found < streams-2-alarms {
		t.Errorf("the missed category is found in %d of %d streams", found, streams)
	}
}
