package drift_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
)

// large returns a Monitor over n held-out items of 20 categories, all answered.
func large(n int) *drift.Monitor {
	m := drift.NewMonitor(drift.Options{})
	names := make([]map[string]string, 20)
	for i := range names {
		names[i] = label(fmt.Sprint("category ", i))
	}
	m.Reset(drift.Release{
		Digest: "d", BaselineSeq: int64(n), TrainedSeq: int64(n),
		Cached: func(item, _ string) (serving.Answers, bool) { return names[int(item[len(item)-1])%20], true },
	}, func(yield func(drift.LabelChange) bool) {
		for i := range n {
			id := fmt.Sprint(i)
			if !yield(drift.LabelChange{
				Item: id, Heldout: true, TextHash: fmt.Sprintf("%032x", i), New: names[i%20], At: noon,
				Seq: int64(i + 1),
			}) {
				return
			}
		}
	})
	if _, err := m.Rebase(noon); err != nil {
		panic(err)
	}
	return m
}

// BenchmarkLabelChange corrects the labels of 250 items in turn; cold corrects a different item each time, so that
// hardly anything is in the processor's caches.
func BenchmarkLabelChange(b *testing.B) {
	for _, c := range []struct {
		name     string
		n, items int
	}{{"1000", 1_000, 250}, {"100000", 100_000, 250}, {"1000000", 1_000_000, 250}, {"1000000-cold", 1_000_000, 100_000}} {
		b.Run(c.name, func(b *testing.B) {
			m := large(c.n)
			to := []map[string]string{label("category 3"), label("category 4")}
			// Random items, not at even steps: those would map to few sets of the cache, for some sizes fewer than for
			// others.
			ids := make([]string, 0, c.items)
			for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(c.n)[:c.items] {
				ids = append(ids, fmt.Sprint(i))
			}
			seq := m.Seq()
			runtime.GC() // of garbage from the set-up
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				seq++
				m.Label(drift.LabelChange{Item: ids[i%c.items], New: to[i/c.items%2], Author: "anna", At: noon, Seq: seq})
			}
		})
	}
}

func BenchmarkReport(b *testing.B) {
	m := large(100_000)
	b.ReportAllocs()
	for b.Loop() {
		m.Report(noon)
	}
}

// BenchmarkMemory measures the heap per held-out item with its answer, for a million items that are loaded as the
// daemon loads them: first the items, then the stored answers one by one. Ids are as long as UUIDs, texts are hashes.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	var per float64
	for b.Loop() {
		per = memory(n)
	}
	b.ReportMetric(per, "B/item")
}

func memory(n int) (perItem float64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := drift.NewMonitor(drift.Options{})
	names := make([]map[string]string, 20)
	for i := range names {
		names[i] = label(fmt.Sprint("category ", i))
	}
	id := func(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", i*2654435761%(1<<32), i) }
	text := func(i int) string { return fmt.Sprintf("%032x", i) }
	m.Reset(drift.Release{Digest: "d", TrainedSeq: int64(n), BaselineSeq: int64(n)},
		func(yield func(drift.LabelChange) bool) {
			for i := range n {
				if !yield(drift.LabelChange{
					Item: id(i), Heldout: true, TextHash: text(i), New: names[i%20], At: noon,
					Seq: int64(i + 1),
				}) {
					return
				}
			}
		})
	for i := range n {
		m.Answer(id(i), text(i), names[(i+i%7/6)%20])
	}
	if _, err := m.Rebase(noon); err != nil {
		panic(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(m)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

func TestMemoryOfAnItem(t *testing.T) { // not parallel: it reads the heap
	arithmetic(t)
	if per := memory(200_000); per > 200 {
		t.Errorf("%.0f bytes an item", per)
	} else {
		t.Logf("%.0f bytes an item", per)
	}
}
