package evaluator

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A sample that was scored before the clock was set back does not delay the next one.
func TestSampleDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 2, 30, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]bool{time.Minute: false, time.Hour: true, -1000 * time.Hour: true} {
		if s := (&Serving{Sampled: now.Add(-ago)}); s.sampleDue(now, time.Hour) != want {
			t.Errorf("sampled %s ago: %t", ago, !want)
		}
	}
}

// A champion that differs from its stored answers as often as parity allows is hardly ever mistaken for another model.
// A model that differs in a fifth of the texts is detected by the samples of one recheck.
func TestEvidenceSeparates(t *testing.T) {
	t.Parallel()
	const parity, size = .995, 20
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(share float64) (wrong int) {
		for range size {
			if rng.Float64() < share {
				wrong++
			}
		}
		return wrong
	}
	alarms := 0
	const years = 200
	for range years {
		e := 0.0
		for range 8760 { // a sample each hour
			wrong := draw(1 - parity)
			for n := 0; n < suspiciousSamples; n++ {
				e = evidence(e, size, wrong, parity)
				if wrong == 0 {
					e = 0 // proved to be the champion
					break
				}
				if e >= foreignEvidence {
					break
				}
				wrong = draw(1 - parity)
			}
			if e >= foreignEvidence {
				alarms++
				e = 0
			}
		}
	}
	t.Logf("%d false alarms in %d years at the worst agreement that parity allows", alarms, years)
	if alarms > years/10 { // at most one in ten years
		t.Errorf("%d false alarms in %d years", alarms, years)
	}
	late := 0
	const tries = 2000
	for range tries {
		e := 0.0
		for range suspiciousSamples {
			e = evidence(e, size, draw(.2), parity)
		}
		if e < foreignEvidence {
			late++
		}
	}
	if late > tries/100 {
		t.Errorf("%d of %d were not found at one look", late, tries)
	}
	if e := evidence(0, 1, 1, parity); e >= foreignEvidence {
		t.Errorf("one odd answer has evidence %.1f", e)
	}
}
