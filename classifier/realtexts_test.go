//go:build !race

// The race detector makes training twenty times slower. It is used for the trainer's shorter tests.

package classifier_test

import (
	"testing"

	"github.com/retraind/retraind/classifier"
)

// TestAccuracyOnRealTexts checks the claim of docs/classifier.md: at least scikit-learn's accuracy minus half a point.
func TestAccuracyOnRealTexts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]float64{"gnad10": .768, "debian": .773, "appstream": .722} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right, n := 0, 0
			var c classifier.Calibration
			for _, s := range dataSets(t, name).splits {
				m, _, err := classifier.Train(s.train, classifier.Options{Seed: 1}, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range s.test {
					label, confidence := m.Classify(e.Text)
					c.Add(confidence, label == e.Labels["label"])
					if n++; label == e.Labels["label"] {
						right++
					}
				}
			}
			if a := float64(right) / float64(n); a < want-.005 || c.Error() > .08 {
				t.Errorf("%d of %d right (%.4f), calibration error %.3f; scikit-learn's accuracy is %.3f", right, n, a, c.Error(), want)
			}
		})
	}
}
