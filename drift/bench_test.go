package drift_test

import (
	"fmt"
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

func BenchmarkLabelChange(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := large(n)
			to := []map[string]string{label("category 3"), label("category 4")}
			ids := make([]string, 1000)
			for i := range ids {
				ids[i] = fmt.Sprint(i * (n / 1000))
			}
			seq := m.Seq()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				seq++
				m.Label(drift.Change{Item: ids[i%1000], New: to[i/1000%2], Author: "anna", At: noon, Seq: seq})
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
