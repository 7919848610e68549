package stats_test

import (
	"math"
	"testing"

	"github.com/retraind/retraind/drift/stats"
)

// The expected values are those of scipy 1.10: scipy.stats.beta.ppf, binomtest(…).proportion_ci("wilson"), binom.sf,
// beta.sf, norm.sf.

func TestIntervalsAgainstScipy(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		k, n                  int
		level                 float64
		exactLow, exactHigh   float64
		wilsonLow, wilsonHigh float64
	}{
		{
			k: 8, n: 10, level: .95, exactLow: 0.4439045376923585, exactHigh: 0.9747892736731666, wilsonLow: 0.4901624715366418,
			wilsonHigh: 0.9433178485456248,
		},
		{k: 0, n: 10, level: .95, exactLow: 0, exactHigh: 0.3084971078187608, wilsonLow: 0, wilsonHigh: 0.27753279986288926},
		{k: 10, n: 10, level: .95, exactLow: 0.6915028921812392, exactHigh: 1, wilsonLow: 0.7224672001371109, wilsonHigh: 1},
		{
			k: 450, n: 500, level: .95, exactLow: 0.8702909143377969, exactHigh: 0.9248641849335745,
			wilsonLow: 0.8705780903680599, wilsonHigh: 0.9233224372626984,
		},
		{
			k: 450, n: 500, level: .99, exactLow: 0.8605315736982331, exactHigh: 0.9316008774002926, wilsonLow: 0.86003290469044,
			wilsonHigh: 0.9294902858429648,
		},
		{
			k: 1, n: 1000, level: .9, exactLow: 5.129197890901779e-05, exactHigh: 0.004734993575499777,
			wilsonLow: 0.00022312384391207085, wilsonHigh: 0.00446972290936893,
		},
	} {
		low, high := stats.ClopperPearson(row.k, row.n, row.level)
		near(t, "Clopper-Pearson low", low, row.exactLow, 1e-9)
		near(t, "Clopper-Pearson high", high, row.exactHigh, 1e-9)
		low, high = stats.WilsonLevel(row.k, row.n, row.level)
		near(t, "Wilson low", low, row.wilsonLow, 1e-9)
		near(t, "Wilson high", high, row.wilsonHigh, 1e-9)
	}
	if low, high := stats.ClopperPearson(0, 0, .95); low != 0 || high != 1 {
		t.Errorf("nothing known: (%v, %v)", low, high)
	}
	near(t, "half-width of nothing", stats.HalfWidth(0, 0), .5, 0)
	near(t, "half-width", stats.HalfWidth(450, 500), (0.9233224372626984-0.8705780903680599)/2, 1e-12)
	near(t, "tolerated error", stats.ToleratedError(450, 500), 1-0.8705780903680599, 1e-12)
}

func TestPairedTestsAgainstScipy(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		b, c             int
		one, two, mid, e float64
	}{
		{b: 5, c: 0, one: 0.03125, two: 0.0625, mid: 0.03125, e: 10.5},
		{b: 12, c: 3, one: 0.017578125, two: 0.03515625, mid: 0.021270751953125014, e: 8.906456043956045},
		{b: 3, c: 12, one: 0.996307373046875, two: 0.03515625, mid: 0.021270751953125014, e: 0.09574175824175825},
		{b: 40, c: 25, one: 0.040840766970770014, two: 0.08168153394154003, mid: 0.06401750413722561, e: 1.6606102029995657},
		{b: 7, c: 7, one: 0.604736328125, two: 1, mid: 1, e: 0.3182595182595183},
		{b: 0, c: 1, one: 1, two: 1, mid: 0.5, e: 0.5},
		{
			b: 200, c: 150, one: 0.004360018265277972, two: 0.008720036530555943, mid: 0.007524139788171167,
			e: 4.746705297476204,
		},
	} {
		m := stats.NewMcNemar(row.b, row.c)
		near(t, "one-sided", m.Better, row.one, 1e-12)
		near(t, "two-sided", m.Differ, row.two, 1e-12)
		near(t, "mid-p", m.MidP, row.mid, 1e-10)
		near(t, "sign test", stats.SignTest(row.b, row.c), row.one, 1e-12)
		near(t, "E", stats.SignE(row.b, row.c)/row.e, 1, 1e-10)
	}
	near(t, "E of nothing", stats.SignE(0, 0), 1, 0)
	if e := stats.SignE(1_000_000, 0); math.IsInf(e, 0) || math.IsNaN(e) || e < 1e100 {
		t.Errorf("a million against none: %v", e)
	}
}

func TestScoreTestAgainstScipy(t *testing.T) {
	t.Parallel()
	near(t, "450/500 to 420/500", stats.ScoreTest(450, 500, 420, 500), 0.00319677363272558, 1e-12)
	near(t, "90/100 to 80/100", stats.ScoreTest(90, 100, 80, 100), 0.03735296665606524, 1e-12)
	near(t, "1000/1200 to 960/1200", stats.ScoreTest(1000, 1200, 960, 1200), 0.019824538589716403, 1e-12)
	for name, p := range map[string]float64{
		"better": stats.ScoreTest(80, 100, 90, 100), "nothing then": stats.ScoreTest(0, 0, 5, 10),
		"nothing now": stats.ScoreTest(5, 10, 0, 0),
		"all right":   stats.ScoreTest(100, 100, 100, 100), "all wrong": stats.ScoreTest(0, 100, 0, 100),
		"nine errors": stats.ScoreTest(100, 100, 91, 100),
	} {
		if p != 1 {
			t.Errorf("%s: p = %v, want 1", name, p)
		}
	}
}

// TestSignEIsOneFunction checks that the sum and the special functions agree, and that SignE has the properties on
// which a policy relies.
func TestSignEIsOneFunction(t *testing.T) {
	t.Parallel()
	for c := range 120 {
		before := 0.0
		for b := range 160 {
			e := stats.SignE(b, c)
			if b > c && e < before {
				t.Fatalf("E(%d, %d) = %g is less than E(%d, %d) = %g", b, c, e, b-1, c, before)
			}
			if p := stats.SignTest(b, c); e*p > 1+1e-9 {
				t.Fatalf("E(%d, %d) = %g has the p-value %g, above its inverse", b, c, e, p)
			}
			before = e
		}
	}
}
