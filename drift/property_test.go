package drift_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// world is a simple model that a Monitor is compared with: items and answers, without counters.
type world struct {
	items   map[string]drift.LabelChange
	answers map[string]string // by item and text hash
	seq     int64
}

var targets = []serving.Target{{Name: "label"}, {Name: "priority", Null: "none"}}

func (w *world) cached(item, textHash string) (serving.Answers, bool) {
	a, ok := w.answers[item+textHash]
	return serving.Answers{"label": a, "priority": "none"}, ok
}

func leaks(item, _ string) bool { return item == "3" || item == "7" }

// figures computes the report's figures directly from the definitions.
func (w *world) figures() (scored, correct, heldOut, leaked, unscored int, f1, balanced, mcc float64) {
	type pair struct{ truth, answer string }
	var pairs []pair
	for id, item := range w.items {
		truth, ok := item.New["label"]
		if !item.Heldout || !ok && leaks(id, "") {
			continue
		}
		if leaks(id, "") {
			leaked++
			continue
		}
		answer, answered := w.answers[id+item.TextHash]
		if !answered {
			unscored++ // even without a label, because a null priority needs an answer
		}
		if !ok {
			continue
		}
		heldOut++
		if answered {
			pairs = append(pairs, pair{truth, answer})
		}
	}
	names := map[string]bool{}
	for _, p := range pairs {
		names[p.truth], names[p.answer] = true, true
		if p.truth == p.answer {
			correct++
		}
	}
	carried := 0
	for name := range names {
		var tp, fp, fn float64
		for _, p := range pairs {
			switch {
			case p.truth == name && p.answer == name:
				tp++
			case p.answer == name:
				fp++
			case p.truth == name:
				fn++
			}
		}
		f1 += 2 * tp / (2*tp + fp + fn) / float64(len(names))
		if tp+fn > 0 {
			carried++
			balanced += tp / (tp + fn)
		}
	}
	if carried > 0 {
		balanced /= float64(carried)
	}
	// Gorodkin's coefficient as the correlation of indicator vectors.
	var cov, varT, varA float64
	n := float64(len(pairs))
	for name := range names {
		var both, t, a float64
		for _, p := range pairs {
			if p.truth == name {
				t++
			}
			if p.answer == name {
				a++
			}
			if p.truth == name && p.answer == name {
				both++
			}
		}
		cov += both/n - t*a/n/n
		varT += t/n - t*t/n/n
		varA += a/n - a*a/n/n
	}
	if varT*varA > 1e-18 {
		mcc = cov / math.Sqrt(varT*varA)
	}
	return len(pairs), correct, heldOut, leaked, unscored, f1, balanced, mcc
}

var letters = rapid.SampledFrom([]string{"a", "b", "c", "d"})

func drawLabels(t *rapid.T) map[string]string {
	out := map[string]string{}
	if rapid.IntRange(0, 9).Draw(t, "labelled") > 0 {
		out["label"] = letters.Draw(t, "label")
	}
	if rapid.Bool().Draw(t, "with priority") {
		out["priority"] = "high"
	}
	return out
}

// change applies one random change to the world and to the Monitor.
func (w *world) change(t *rapid.T, m *drift.Monitor, deletes bool) {
	id := fmt.Sprint(rapid.IntRange(0, 15).Draw(t, "item"))
	item, known := w.items[id]
	w.seq++
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case !known || kind < 2: // an insert or a new text
		next := drift.LabelChange{
			Item: id, Heldout: rapid.IntRange(0, 3).Draw(t, "heldout") > 0,
			TextHash: hash(id + fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "text"))),
			New:      drawLabels(t), Inserted: !known, Author: letters.Draw(t, "author"), At: noon, Seq: w.seq,
		}
		if known {
			next.Heldout = item.Heldout
		}
		w.items[id] = next
		m.Put(next)
	case kind == 2 && deletes:
		delete(w.items, id)
		m.Delete(id, w.seq)
	default:
		old := item.New
		item.New, item.Seq = drawLabels(t), w.seq
		w.items[id] = item
		m.Label(drift.LabelChange{Item: id, Old: old, New: item.New, Author: letters.Draw(t, "author"), At: noon, Seq: w.seq})
	}
}

func newWorld(t *rapid.T, answered float64) *world {
	w := &world{items: map[string]drift.LabelChange{}, answers: map[string]string{}}
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "answers"), 0))
	for i := range 20 {
		for text := range 3 {
			if rng.Float64() <= answered {
				id := fmt.Sprint(i)
				w.answers[id+hash(id+fmt.Sprint(text))] = string('a' + rune(rng.IntN(4)))
			}
		}
	}
	return w
}

func TestCountersEqualARecomputation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, .7)
		m := drift.NewMonitor(drift.Options{Targets: targets})
		m.Reset(drift.Release{Digest: "d", TrainedOn: leaks, Cached: w.cached}, nil)
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			if waiting := m.Unscored(); len(waiting) > 0 && rapid.IntRange(0, 3).Draw(t, "answer now") == 0 {
				a := letters.Draw(t, "late answer")
				w.answers[waiting[0].Item+waiting[0].TextHash] = a
				m.Answer(waiting[0].Item, waiting[0].TextHash, serving.Answers{"label": a, "priority": "none"})
			} else {
				w.change(t, m, true)
			}
			if err := m.Audit(); err != nil {
				t.Fatal(err)
			}
			r := m.Report(noon)
			scored, correct, heldOut, leaked, unscored, f1, balanced, mcc := w.figures()
			if r.Scored != scored || r.Correct != correct || r.HeldOut != heldOut || r.Leaked != leaked ||
				len(m.Unscored()) != unscored {
				t.Fatalf("scored %d correct %d held out %d leaked %d waiting %d; recomputed %d %d %d %d %d",
					r.Scored, r.Correct, r.HeldOut, r.Leaked, len(m.Unscored()), scored, correct, heldOut, leaked, unscored)
			}
			for name, pair := range map[string][2]float64{
				"macro F1": {r.MacroF1, f1}, "balanced": {r.Balanced, balanced},
				"mcc": {r.MCC, mcc},
			} {
				if math.IsNaN(pair[0]) || math.Abs(pair[0]-pair[1]) > 1e-9 {
					t.Fatalf("%s %v, recomputed %v", name, pair[0], pair[1])
				}
			}
			if math.IsNaN(r.Kappa) || r.Low > r.Accuracy || r.High < r.Accuracy {
				t.Fatalf("%+v", r)
			}
		}
	})
}

// TestRestartLosesNothing stops a Monitor at a random change and starts another from the stored items, the stored state
// and the changes since: the reports must be equal.
func TestRestartLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 1)
		promise := unit.Rate{Count: 1, Per: unit.Duration(24 * time.Hour)} // bounds that a few errors reach
		opts := drift.Options{
			Targets: targets, DropPoints: 5, FalseRetrains: promise,
			Categories: drift.CategoryTests{DropPoints: 5, FalseRetrains: promise, MinItems: 1},
		}
		live := drift.NewMonitor(opts)
		release := drift.Release{Digest: "d", TrainedOn: leaks, Cached: w.cached}
		live.Reset(release, nil)
		for range rapid.IntRange(0, 30).Draw(t, "before the baseline") {
			w.change(t, live, true)
		}
		if _, err := live.Rebase(noon); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 30).Draw(t, "before the state") {
			w.change(t, live, true)
		}
		state, err := live.State()
		if err != nil {
			t.Fatal(err)
		}
		stored := maps.Clone(w.items)
		late := &recorder{Monitor: live}
		for range rapid.IntRange(0, 30).Draw(t, "after the state") {
			w.changeRecorded(t, late)
			if rapid.Bool().Draw(t, "stored") {
				stored = maps.Clone(w.items) // the items may be newer than the state
			}
		}

		again := drift.NewMonitor(opts)
		items := slices.SortedFunc(maps.Values(stored), func(a, b drift.LabelChange) int { return cmp.Compare(a.Seq, b.Seq) })
		again.Reset(live.Release(), slices.Values(items))
		if err := again.RestoreState(state); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 2).Draw(t, "times") { // a second replay changes nothing
			for _, tell := range late.told {
				tell(again)
			}
		}
		if err := again.Audit(); err != nil {
			t.Fatal(err)
		}
		if err := again.Compare(live); err != nil {
			t.Fatal(err)
		}
		diff := gocmp.Diff(live.Report(noon), again.Report(noon),
			cmpopts.EquateApprox(0, 1e-12))
		if diff != "" {
			t.Fatalf("live (-) and restarted (+) differ:\n%s", diff)
		}
	})
}

// recorder stores the calls of the live Monitor.
type recorder struct {
	*drift.Monitor
	told []func(*drift.Monitor)
}

func (w *world) changeRecorded(t *rapid.T, r *recorder) {
	id := fmt.Sprint(rapid.IntRange(0, 19).Draw(t, "item"))
	item, known := w.items[id]
	w.seq++
	var tell func(*drift.Monitor)
	if !known {
		next := drift.LabelChange{
			Item: id, Heldout: true, TextHash: hash(id + "0"), New: drawLabels(t), Inserted: true,
			Author: "x", At: noon, Seq: w.seq,
		}
		w.items[id] = next
		tell = func(m *drift.Monitor) { m.Put(next) }
	} else {
		c := drift.LabelChange{
			Item: id, Old: item.New, New: drawLabels(t), Author: letters.Draw(t, "author"), At: noon,
			Seq: w.seq,
		}
		item.New, item.Seq = c.New, w.seq
		w.items[id] = item
		tell = func(m *drift.Monitor) { m.Label(c) }
	}
	tell(r.Monitor)
	r.told = append(r.told, tell)
}
