package classifier_test

import (
	"math"
	"testing"

	"github.com/retraind/retraind/classifier"
)

func TestCalibrationError(t *testing.T) {
	t.Parallel()
	var c classifier.Calibration
	if c.Error() != 0 {
		t.Error("an error of nothing")
	}
	for i := range 10 {
		c.Add(.95, i < 9)  // .05 overconfident
		c.Add(.55, i < 8)  // .25 underconfident
		c.Add(1, i%2 == 0) // in the range of .95: together 14 of 20 at a mean of .975
	}
	want := (math.Abs(14-19.5) + math.Abs(8-5.5)) / 30
	if got := c.Error(); math.Abs(got-want) > 1e-12 {
		t.Errorf("%v, want %v", got, want)
	}
}

// A third of the labels is random: a calibrated model answers with about .78, an uncalibrated one with nearly 1.
func TestConfidenceFits(t *testing.T) {
	t.Parallel()
	noisy := func(seed uint64, n int) []classifier.Example {
		list := examples(seed, n)
		for i := range list {
			if i%3 == 0 {
				list[i].Labels = map[string]string{"label": []string{"Kultur", "Netz", "Sport"}[i/3%3]}
			}
		}
		return list
	}
	m, metrics, err := classifier.Train(noisy(1, 2400), classifier.Options{Seed: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := metrics.Validation
	if v.Items != 2400 || v.Passes < 1 || v.Temperature <= 0 || v.ECE > .08 || v.Accuracy < .65 {
		t.Errorf("%+v", v)
	}
	var c classifier.Calibration
	sum := 0.0
	for _, e := range noisy(2, 600) {
		label, confidence := m.Classify(e.Text)
		c.Add(confidence, label == e.Labels["label"])
		sum += confidence
	}
	if c.Error() > .1 || sum/600 > .88 || sum/600 < .68 {
		t.Errorf("calibration error %.3f at a mean confidence of %.3f", c.Error(), sum/600)
	}
}
