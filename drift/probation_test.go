package drift_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
)

// tried is a release that was promoted at noon with 90 of 100 right and is on probation for a day.
type tried struct {
	*bench
	items []drift.LabelChange
}

func onProbation(t *testing.T, p *drift.Probation) *tried {
	t.Helper()
	b := &tried{bench: &bench{Monitor: drift.NewMonitor(drift.Options{})}}
	for i := range 100 {
		b.items = append(b.items, drift.LabelChange{
			Item: fmt.Sprint(i), Heldout: true, TextHash: hash(fmt.Sprint(i)),
			New: label("a"), At: noon, Seq: int64(i + 1),
		})
	}
	b.begin(p)
	return b
}

func (b *tried) begin(p *drift.Probation) {
	b.seq = 100
	b.Reset(drift.Release{
		Digest: "sha256:new", BaselineSeq: b.seq, TrainedSeq: b.seq,
		Baseline: &drift.Baseline{Accuracy: .9, N: 100, Correct: 90, At: noon}, Probation: p,
	}, slices.Values(b.items))
}

// take adds a new item with a label and its answer.
func (b *tried) take(id, truth, answer string, at time.Time, own bool) {
	b.seq++
	b.Put(drift.LabelChange{
		Item: id, Heldout: true, TextHash: hash(id), New: label(truth), Inserted: true, Own: own,
		At: at, Seq: b.seq,
	})
	if answer != "" {
		b.Answer(id, hash(id), label(answer))
	}
}

func (b *tried) state() drift.OnProbation {
	r := b.Report(noon)
	if r.Probation == nil {
		return drift.OnProbation{}
	}
	return *r.Probation
}

func aDay() *drift.Probation {
	return &drift.Probation{Since: noon, Until: noon.Add(24 * time.Hour), Alpha: .05}
}

// The figures equal those of an EProcess with the same input.
func TestProbationCrosses(t *testing.T) {
	t.Parallel()
	b := onProbation(t, aDay())
	alone := stats.NewEProcess(stats.ToleratedError(90, 100))
	for n := 0; !alone.Rejects(.05); n++ {
		if got := b.state(); got.Crossed || got.Over(noon) {
			t.Fatalf("after %d items: %+v", n, got)
		}
		wrong := n%2 == 0
		alone.Add(wrong)
		b.take(fmt.Sprint("new", n), "a", map[bool]string{true: "b", false: "a"}[wrong], noon, false)
	}
	want := drift.OnProbation{
		Probation: *aDay(), N: alone.N, Errors: alone.Errs, Tolerated: alone.P0, E: alone.E(),
		Bound: 20, Crossed: true,
	}
	if diff := cmp.Diff(want, b.state()); diff != "" {
		t.Error(diff)
	}
	if b.state().Over(noon.Add(48 * time.Hour)) {
		t.Error("one that was crossed is never over by itself")
	}
	for n := range 100 { // later items do not change the result
		b.take(fmt.Sprint("later", n), "a", "a", noon, false)
	}
	if diff := cmp.Diff(want, b.state()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoEvidenceOnProbation(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*tried){
		"labels that come too late": func(b *tried) {
			for n := range 50 {
				b.take(fmt.Sprint("new", n), "a", "b", noon.Add(24*time.Hour), false)
			}
		},
		"what retraind wrote": func(b *tried) {
			for n := range 50 {
				b.take(fmt.Sprint("new", n), "a", "b", noon, true)
			}
		},
		"corrections of items that the gate has seen": func(b *tried) {
			for n := range 50 {
				b.Answer(fmt.Sprint(n), hash(fmt.Sprint(n)), label("a"))
				b.relabel(fmt.Sprint(n), "b", "eve")
			}
		},
		"an item that comes and goes": func(b *tried) {
			b.take("new", "a", "b", noon, false)
			for range 50 {
				b.seq++
				b.Delete("new", b.seq)
				b.take("new", "a", "b", noon, false)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := onProbation(t, aDay())
			play(b)
			if got := b.state(); got.N > 1 || got.Crossed {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A label that arrived in time counts even if the service answers later; a label that arrived too late does not.
func TestProbationWaitsForAnswers(t *testing.T) {
	t.Parallel()
	b := onProbation(t, aDay())
	b.take("in time", "a", "", noon.Add(23*time.Hour), false)
	b.take("too late", "a", "b", noon.Add(25*time.Hour), false)
	if got := b.state(); got.N != 0 {
		t.Fatalf("%+v", got)
	}
	state, err := b.State()
	if err != nil {
		t.Fatal(err)
	}
	again := onProbation(t, aDay()) // the process ends and another one starts
	for _, id := range []string{"in time", "too late"} {
		again.items = append(again.items,
			drift.LabelChange{Item: id, Heldout: true, TextHash: hash(id), New: label("a"), At: noon, Seq: 101})
	}
	again.begin(aDay())
	if err := again.RestoreState(state); err != nil {
		t.Fatal(err)
	}
	again.Answer("in time", hash("in time"), label("b"))
	again.Answer("too late", hash("too late"), label("b"))
	if got := again.state(); got.N != 1 || got.Errors != 1 {
		t.Errorf("%+v", got)
	}
}

func TestProbationGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	whole, first := onProbation(t, aDay()), onProbation(t, aDay())
	for n := range 6 {
		whole.take(fmt.Sprint("new", n), "a", "b", noon, false)
		first.take(fmt.Sprint("new", n), "a", "b", noon, false)
	}
	state, err := first.State()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*drift.Probation{"": aDay(), "none any more": nil} {
		second := onProbation(t, p)
		if err := second.RestoreState(state); err != nil {
			t.Fatal(err)
		}
		want := whole.state()
		if p == nil {
			want = drift.OnProbation{}
		}
		if diff := cmp.Diff(want, second.state()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := whole.state(); !got.Crossed {
		t.Errorf("six wrong of six: %+v", got)
	}
}

func TestRebaseEndsAProbation(t *testing.T) {
	t.Parallel()
	b := onProbation(t, aDay())
	for i := range 100 {
		b.Answer(fmt.Sprint(i), hash(fmt.Sprint(i)), label("a"))
	}
	b.rebase(t)
	if got := b.Report(noon).Probation; got != nil {
		t.Errorf("%+v", got)
	}
}

// SmallestFault computes the power of a probation by simulating whole streams: more labels find a smaller rise.
func TestProbationKeepsItsPromise(t *testing.T) {
	t.Parallel()
	p0 := stats.ToleratedError(450, 500)
	rise := stats.SmallestFault(.1, p0, .05, 240, .8)
	if !(rise > .05 && rise < .12) {
		t.Errorf("240 labels find a rise of %v", rise)
	}
	if more := stats.SmallestFault(.1, p0, .05, 2400, .8); !(more < rise) {
		t.Errorf("2400 labels find %v, 240 find %v", more, rise)
	}
	if none := stats.SmallestFault(.1, p0, .05, 0, .8); !math.IsNaN(none) {
		t.Errorf("no labels find %v", none)
	}
}

// If retraind overwrites a label before the item is judged, this is not evidence: the label that people gave counts.
func TestOwnWritesOnWaitingItems(t *testing.T) {
	t.Parallel()
	b := onProbation(t, aDay())
	for n := range 50 {
		id := fmt.Sprint("new", n)
		b.take(id, "a", "", noon, false)
		b.seq++
		b.Label(drift.LabelChange{
			Item: id, Old: label("a"), New: label("b"), Own: true, Author: "model", At: noon,
			Seq: b.seq,
		})
	}
	state, err := b.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.RestoreState(state); err != nil { // the stored state keeps the labels that people gave
		t.Fatal(err)
	}
	for n := range 50 {
		b.Answer(fmt.Sprint("new", n), hash(fmt.Sprint("new", n)), label("a"))
	}
	if got := b.state(); got.N != 50 || got.Errors != 0 {
		t.Errorf("%+v", got)
	}
	r := b.Report(noon)
	if r.NewItems.Errors != 0 || r.People == nil || r.People.Correct != 50 || r.Correct != 0 {
		t.Errorf("%+v %+v", r.NewItems, r.People)
	}
}
