package drift_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/retraind/retraind/drift"
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
		Cached: func(item, _ string) (drift.Answers, bool) { return names[int(item[len(item)-1])%20], true },
	}, func(yield func(drift.Item) bool) {
		for i := range n {
			id := fmt.Sprint(i)
			if !yield(drift.Item{ID: id, Heldout: true, TextHash: fmt.Sprintf("%032x", i), Labels: names[i%20], At: noon, Seq: int64(i + 1)}) {
				return
			}
		}
	})
	if _, err := m.Rebase(noon); err != nil {
		panic(err)
	}
	return m
}

// BenchmarkLabelChange corrects labels of 250 items spread over the set in turn; cold corrects another item each time, so
// that hardly anything about it is in the processor's caches.
func BenchmarkLabelChange(b *testing.B) {
	for _, c := range []struct {
		name     string
		n, items int
	}{{"1000", 1_000, 250}, {"100000", 100_000, 250}, {"1000000", 1_000_000, 250}, {"1000000-cold", 1_000_000, 100_000}} {
		b.Run(c.name, func(b *testing.B) {
			m := large(c.n)
			to := []map[string]string{label("category 3"), label("category 4")}
			ids := make([]string, c.items)
			for i := range ids {
				ids[i] = fmt.Sprint(i * (c.n / c.items))
			}
			rand.New(rand.NewPCG(1, 1)).Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
			seq := m.Seq()
			runtime.GC() // of what building it has left
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				seq++
				m.Label(drift.Change{Item: ids[i%c.items], New: to[i/c.items%2], Author: "anna", At: noon, Seq: seq})
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

func BenchmarkECUSUM(b *testing.B) {
	e := drift.NewECUSUM(.1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Add(i%10 == 0)
		e.E()
	}
}

func TestMemoryOfAnItem(t *testing.T) { // alone: it reads the heap
	const n = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := large(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := float64(after.HeapAlloc-before.HeapAlloc) / n; per > 200 {
		t.Errorf("%.0f bytes an item", per)
	} else {
		t.Logf("%.0f bytes an item", per)
	}
	runtime.KeepAlive(m)
}

func TestSequentialTestsAllocateNothing(t *testing.T) { // AllocsPerRun must not run beside other tests
	e := drift.NewECUSUM(.1)
	if n := testing.AllocsPerRun(1000, func() { e.Add(true); e.E() }); n != 0 {
		t.Errorf("%v allocations an update", n)
	}
}
