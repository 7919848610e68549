package status

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		interval(0.85, 0.889):                         "85.0 to 88.9%",
		newTime(now, now).Text:                        "now",
		newTime(now, ago(-5*time.Minute)).Text:        "in 5 min",
		newTime(now, time.Time{}).Text:                "",
		clock(now, now.UTC()).Text:                    "Sun 22 Nov, 17:48 CET",
		window(now, Window{Open: true}):               "runs may start at any time",
		window(now, Window{}):                         "quiet hours never open",
		window(now, Window{Open: true, Changes: now}): "quiet hours until Sun 22 Nov, 17:48 CET",
		amount(2160, policy.UnitHours):                "90 d",
		amount(0.2134, policy.UnitPSI):                "0.213",
		amount(412, policy.UnitLabels):                "412",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	share, beyond := policy.UnitShare, policy.StateInconclusive
	for want, c := range map[string]policy.Condition{
		"yes|a b|4.1 pts|3.0 pts|": {
			Name: "a_b", Tripped: true, State: policy.StateFail, Value: 4.1, Bound: 3, Distance: -1.1, Unit: policy.UnitPoints,
		},
		"no||87.0%|85.0%|29 more labels": {
			State: policy.StatePass, Value: 0.87, Bound: 0.85, Labels: 29, Distance: 0.02, Unit: share,
		},
		"no||87.1%|85.0%|2.1 pts": {
			State: policy.StatePass, Value: 0.871, Bound: 0.85, Labels: -1, Distance: 0.021, Unit: share,
		},
		"not certain yet||75.0%|85.0%|beyond the bound": {
			State: beyond, Breached: true, Value: 0.75, Bound: 0.85, Labels: -1, Distance: -0.1, Unit: share,
		},
		"not judged|||70.0%|":            {State: beyond, Bound: 0.7, Distance: -0.7, Unit: share},
		"not judged||||":                 {State: beyond, Unit: policy.UnitPoints},
		"no||||":                         {State: policy.StatePass, Labels: -1},
		"no|urgent: a|0.0%|0.0%|0.0 pts": {Name: "a", Config: "urgent_when.a", State: policy.StatePass, Unit: share},
	} {
		r := newRow(c)
		if got := strings.Join([]string{r.Mark, r.Name, r.Value, r.Bound, r.Distance}, "|"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	b := &drift.Baseline{Accuracy: 0.9}
	for want, r := range map[string]drift.Report{
		"no baseline/":                  {Scored: 10},
		"90.0%/4.1 points lost since":   {Scored: 10, Baseline: b, Figures: drift.Figures{Drop: 4.1}},
		"90.0%/1.0 points gained since": {Scored: 10, Baseline: b, Figures: drift.Figures{Drop: -1}},
		"90.0%/unchanged since":         {Scored: 10, Baseline: b, Figures: drift.Figures{Drop: 0.01}},
		"90.0%/":                        {Baseline: b},
	} {
		if f := baseline(r); f.Value+"/"+f.Note != want {
			t.Errorf("got %q, want %q", f.Value+"/"+f.Note, want)
		}
	}
}

// The segments of a bar fill it exactly, in order, and none is too thin to see.
func TestBarFills(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r Run
		at := ago(10 * time.Hour)
		for _, s := range rapid.SliceOfN(rapid.IntRange(0, 20000), 1, 30).Draw(t, "seconds") {
			end := at.Add(time.Duration(s) * time.Second)
			r.Steps = append(r.Steps, Step{Name: "s", State: store.StepOK, Started: at, Ended: end})
			at = end
		}
		bar := newBar(now, r)
		if len(bar.Segments) != len(r.Steps) {
			t.Fatalf("%d segments for %d steps", len(bar.Segments), len(r.Steps))
		}
		x := 0.0
		for i, s := range bar.Segments {
			if got := number(t, s.X); math.Abs(got-x) > 0.02*float64(i+1) {
				t.Fatalf("segment %d begins at %v, the one before ends at %v", i, got, x)
			}
			w := number(t, s.W)
			if w < 0.5 {
				t.Fatalf("segment %d is %v %% wide", i, w)
			}
			x = number(t, s.X) + w
		}
		if math.Abs(x-100) > 0.5 {
			t.Fatalf("the bar ends at %v %%", x)
		}
	})
}

type fataler interface{ Fatal(args ...any) }

func number(t fataler, text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// For any measurements, everything is drawn inside the plot, there are few grid lines, and no figure is NaN.
func TestChartStaysInside(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var points []Point
		at := ago(time.Duration(rapid.IntRange(1, 40*24*60).Draw(t, "minutes")) * time.Minute)
		for range rapid.IntRange(0, 700).Draw(t, "points") {
			a := rapid.Float64Range(0, 1).Draw(t, "accuracy")
			if rapid.IntRange(0, 20).Draw(t, "broken") == 0 {
				a = math.NaN()
			}
			points = append(points, Point{At: at, Accuracy: a, Low: math.Max(0, a-0.02), High: math.Min(1, a+0.02), N: 100})
			if at = at.Add(time.Duration(rapid.IntRange(1, 3600).Draw(t, "pause")) * time.Second); at.After(now) {
				break
			}
		}
		m := Model{Floor: rapid.SampledFrom([]float64{0, 0.85, 1}).Draw(t, "floor")}
		c := newChart(now, m, points, nil)
		if !c.Shown {
			for _, p := range points {
				if !math.IsNaN(p.Accuracy) {
					t.Fatal("points, but no chart")
				}
			}
			return
		}
		if len(c.Y) < 2 || len(c.Y) > 8 || len(c.X) > 8 {
			t.Fatalf("%d lines, %d times", len(c.Y), len(c.X))
		}
		for _, tick := range append(c.Y, c.X...) {
			if v := number(t, tick.At); v < 0 || v > 100 {
				t.Fatalf("tick %q at %v %%", tick.Text, v)
			}
		}
		coordinates := strings.FieldsFunc(c.Line+c.Band, func(r rune) bool { return strings.ContainsRune("MLZ,", r) })
		if len(coordinates) > 6*(maxPoints+1) {
			t.Fatalf("%d coordinates", len(coordinates))
		}
		for _, text := range coordinates {
			if v := number(t, text); !(v >= -1 && v <= 1001) {
				t.Fatalf("coordinate %v", v)
			}
		}
	})
}

// The newest evaluation is always drawn, for any number of them.
func TestThinKeepsTheLast(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 299, 300, 301, 1000, 12345} {
		points := make([]Point, n)
		for i := range points {
			points[i] = Point{At: ago(time.Duration(n-i) * time.Second), N: 1, Accuracy: float64(i)}
		}
		got := thin(points)
		if len(got) > maxPoints || got[len(got)-1] != points[n-1] {
			t.Errorf("%d points: kept %d, the last is %v", n, len(got), got[len(got)-1])
		}
	}
}

// Around a change of daylight saving time, days on the axis are calendar days.
func TestDaysOfTheCalendar(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("this machine has no time zones (apt-get install tzdata)")
	}
	s := scale{from: time.Date(2026, 10, 23, 12, 0, 0, 0, berlin), to: time.Date(2026, 10, 27, 12, 0, 0, 0, berlin)}
	var got []string
	for _, tick := range s.xTicks(berlin) {
		got = append(got, tick.Text)
	}
	if diff := cmp.Diff([]string{"24 Oct", "25 Oct", "26 Oct", "27 Oct"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestProbationFigure(t *testing.T) {
	t.Parallel()
	trial := func(errors, n int, crossed bool) *Probation {
		return &Probation{OnProbation: drift.OnProbation{
			Probation: drift.Probation{Since: ago(time.Hour), Until: now.Add(23 * time.Hour), Alpha: .05}, N: n, Errors: errors,
			E: 1.5372, Bound: 20, Crossed: crossed,
		}}
	}
	for _, c := range []struct {
		trial       *Probation
		value, note string
	}{
		{trial(0, 0, false), "until Mon 23 Nov, 16:48 CET", "no new item yet"},
		{trial(3, 40, false), "until Mon 23 Nov, 16:48 CET", "3 of 40 new items wrong, e-value 1.5 of 20"},
		{trial(12, 30, true), "failed", "12 of 30 new items wrong, e-value 1.5 of 20"},
	} {
		found := false
		for _, f := range figures(now, Model{Probation: c.trial}) {
			if f.Label == "On probation" {
				found = true
				if f.Value != c.value || f.Note != c.note {
					t.Errorf("%+v, want %s, %s", f, c.value, c.note)
				}
			}
		}
		if !found {
			t.Error("the page does not show it")
		}
	}
}

// A pending rollback has its reason, and the probation is not among the conditions for a retrain.
func TestExplainViewOfARollback(t *testing.T) {
	t.Parallel()
	v := newExplainView(now, policy.Decision{
		Verdict: policy.VerdictRollback,
		Conditions: []policy.Condition{
			{Name: "probation", Unit: policy.UnitEvidence, Tripped: true},
			{Name: "accuracy_below"},
		},
		Blocked: []policy.Blocker{{Reason: policy.ReasonPaused, Text: "paused"}},
	})
	if len(v.Rows) != 1 || v.Rows[0].Name != "accuracy below" || v.BlockedBy != "It waits because:" {
		t.Errorf("%+v", v)
	}
}

func TestTimeLeft(t *testing.T) {
	t.Parallel()
	running := Step{State: store.StepRunning, Started: ago(20 * time.Minute), Progress: share(0.8)}
	unsaid, ended, early := running, running, running
	unsaid.Progress, ended.Ended, early.Progress = nil, now, share(0.001)
	if left, ok := running.Left(now); !ok || left.Round(time.Second) != 5*time.Minute {
		t.Errorf("%v %v, want 5 minutes", left, ok)
	}
	for name, s := range map[string]Step{"no share": unsaid, "ended": ended, "too early": early} {
		if left, ok := s.Left(now); ok {
			t.Errorf("%s: %v", name, left)
		}
	}
}

// The output of commands is cut to its first line, with the command that shows the rest.
func TestBriefs(t *testing.T) {
	t.Parallel()
	r := Run{
		ID:     "01kb4w8r2m7v2c2p3r5qn3yn38",
		Reason: "train: exit status 1: no such column\nTraceback\n  File x; its output: /var/lib/out.log",
		Steps:  []Step{{Name: "train", Detail: "train: no such column; its output: /var/lib/out.log"}, {Name: "undo deploy"}},
	}
	said, more := r.BriefReason()
	if said != "train: exit status 1: no such column …" || more != "retraind runs logs 5qn3yn38 --step train" {
		t.Errorf("%q %q", said, more)
	}
	for name, c := range map[string]struct{ detail, said, more string }{
		"train":       {"no such column; its output: /x", "no such column", "retraind runs logs 5qn3yn38 --step train"},
		"undo deploy": {"ended; its output: /x", "ended", "retraind runs logs 5qn3yn38 --step 'undo deploy'"},
		"verify": {
			"status 500 " + strings.Repeat("word ", 100), "status 500 " + strings.TrimSpace(strings.Repeat("word ", 29)) + " …",
			"retraind runs show 5qn3yn38 --json",
		},
		"gate": {"not worse", "not worse", ""},
		"merge": {
			"exit status 3: ; its output: /x; GPU 0 is also used by sleep", "exit status 3; GPU 0 is also used by sleep",
			"retraind runs logs 5qn3yn38 --step merge",
		},
	} {
		if said, more := r.BriefDetail(Step{Name: name, Detail: c.detail}); said != c.said || more != c.more {
			t.Errorf("%s: %q %q, want %q %q", name, said, more, c.said, c.more)
		}
	}
}

// A foreign model is reported first, with the commands that resolve it, and the release is not shown as served.
func TestForeignView(t *testing.T) {
	t.Parallel()
	m := drifted()
	m.Caveat = "probably too high"
	m.Served = &Served{State: ServedForeign, Since: ago(time.Hour), Text: "the service answers as 8d3b3f52"}
	v := newModelView(now, m)
	if !v.Foreign || v.Served != "The service answers as 8d3b3f52" {
		t.Errorf("%v %q", v.Foreign, v.Served)
	}
	m.Sentence = m.Served.Text + ", the champion is 6c66fc3a"
	if v := newModelView(now, m); !v.Foreign || v.Served != "" {
		t.Errorf("said twice: %q", v.Served)
	}
	m.Served = &Served{State: ServedProved, Notice: "only 40% of the model is on the GPU"}
	if v := newModelView(now, m); v.Foreign || v.Notice != "Only 40% of the model is on the GPU" {
		t.Errorf("%v %q", v.Foreign, v.Notice)
	}
	for name, want := range map[ServedState]string{
		ServedForeign: "deployed 9 d ago, not serving since Sun 22 Nov, 16:48 CET",
		ServedProved:  "deployed 9 d ago, proved to serve 3 min ago",
		ServedUnknown: "deployed 9 d ago, last proved to serve 3 min ago",
	} {
		m.Served = &Served{State: name, Since: ago(time.Hour), Proved: ago(3 * time.Minute)}
		found := map[string]string{}
		for _, f := range figures(now, m) {
			found[f.Label] = f.Note
		}
		if found["Release"] != want {
			t.Errorf("%s: %q", name, found["Release"])
		}
		if found["Accuracy of relevant"] != "95% interval 85.1 to 88.9%, 1,204 items, probably too high" {
			t.Errorf("%q", found["Accuracy of relevant"])
		}
	}
}
