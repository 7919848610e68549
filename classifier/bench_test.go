package classifier_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/classifier"
)

// BenchmarkTrain trains on as many texts as the demo's first release.
func BenchmarkTrain(b *testing.B) {
	list := newsExamples(1680)
	for b.Loop() {
		if _, _, err := classifier.Train(list, classifier.Options{Seed: 1}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
}

func BenchmarkClassify(b *testing.B) {
	list := newsExamples(400)
	m, _, err := classifier.Train(list, classifier.Options{Seed: 1, Epochs: 2}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Classify(list[i%len(list)].Text)
	}
}

var setNames = []string{"gnad10", "appstream", "debian", "generated"}

// figures are the results of one classifier on one data set: counts and times are sums over all divisions of the set
// into training and test texts.
type figures struct {
	Right    int     `json:"right"`
	N        int     `json:"n"`
	Train    float64 `json:"train"`    // seconds of processor time
	Classify float64 `json:"classify"` // seconds of processor time for all test texts
	Bytes    int     `json:"bytes"`    // of the largest model
	ECE      float64 `json:"ece"`
}

func (f figures) report(b *testing.B) {
	b.ReportMetric(100*float64(f.Right)/float64(f.N), "%right")
	b.ReportMetric(100*f.ECE, "%ece")
	b.ReportMetric(f.Train, "cpu-s")
	b.ReportMetric(float64(f.Bytes)/1e6, "MB")
	b.ReportMetric(1e3*f.Classify/float64(f.N), "ms/text")
}

// BenchmarkSet trains and classifies real texts, if they are available, and generated ones.
func BenchmarkSet(b *testing.B) {
	for _, name := range setNames {
		b.Run(name, func(b *testing.B) {
			set := dataSets(b, name)
			var f figures
			for b.Loop() {
				f = ours(b, set)
			}
			f.report(b)
		})
	}
}

func ours(b *testing.B, set dataSet) (f figures) {
	var c classifier.Calibration
	for _, s := range set.splits {
		before := processorTime(b)
		m, metrics, err := classifier.Train(s.train, classifier.Options{Seed: 1}, nil)
		if err != nil {
			b.Fatal(err)
		}
		f.Train += processorTime(b) - before
		f.Bytes = max(f.Bytes, metrics.ModelBytes)
		before = processorTime(b)
		for _, e := range s.test {
			label, confidence := m.Classify(e.Text)
			c.Add(confidence, label == e.Labels["label"])
			if label == e.Labels["label"] {
				f.Right++
			}
		}
		f.Classify += processorTime(b) - before
		f.N += len(s.test)
	}
	f.ECE = c.Error()
	return f
}

// processorTime returns the processor time of this process, which other programs on the machine hardly affect.
func processorTime(b *testing.B) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// sklearn returns the path of a Python that has scikit-learn, which it installs if necessary. The function runs only
// once, and each set is measured only once, because both take minutes.
var (
	sklearn = sync.OnceValues(func() (string, error) {
		out, err := exec.Command("../scripts/sklearn.sh").Output()
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			return "", errors.New(strings.TrimSpace(string(failed.Stderr)))
		}
		return strings.TrimSpace(string(out)), err
	})
	sklearnFigures sync.Map // figures by name of the set
)

// BenchmarkScikitLearn is the peer of BenchmarkSet: TF-IDF of words and characters with a logistic regression, on one
// thread.
func BenchmarkScikitLearn(b *testing.B) {
	for _, name := range setNames {
		b.Run(name, func(b *testing.B) {
			python, err := sklearn()
			if err != nil {
				b.Skip(err)
			}
			set := dataSets(b, name)
			f, known := sklearnFigures.Load(name)
			if !known {
				f = theirs(b, python, set)
				sklearnFigures.Store(name, f)
			}
			for b.Loop() { // already measured by Python
			}
			f.(figures).report(b)
		})
	}
}

func theirs(b *testing.B, python string, set dataSet) (f figures) {
	var in strings.Builder
	enc := json.NewEncoder(&in)
	for i, s := range set.splits {
		for part, list := range map[string][]classifier.Example{"train": s.train, "test": s.test} {
			for _, e := range list {
				row := []any{i, part, fmt.Sprint(e.Text["title"], "\n", e.Text["content"]), e.Labels["label"]}
				if err := enc.Encode(row); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	cmd := exec.Command(python, "testdata/scikit.py")
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
	cmd.Stdin, cmd.Stderr = strings.NewReader(in.String()), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(out, &f); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return f
}
