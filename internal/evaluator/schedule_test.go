package evaluator

import (
	"log/slog"
	"testing"
	"time"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// A scheduled evaluation happens once, and is skipped if it is too late.
func TestScheduledEvaluationHappensOnce(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var config policy.Config
	config.SetDefaults()
	config.Evaluate.Schedule = "30 2 * * *"
	config.RetrainWhen.AccuracyBelow = &policy.AccuracyBelow{Share: 0.5}
	p, err := policy.Compile(config, time.UTC, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	night := time.Date(2026, 5, 4, 2, 30, 0, 0, time.UTC)
	l := &Loop{name: "m", o: Options{Store: s}, rules: &Rules{Policy: p}, log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		what    string
		planned time.Time
		now     time.Time
		want    bool
	}{
		{"nothing is planned", time.Time{}, night, false},
		{"it is not time yet", night, night.Add(-time.Second), false},
		{"it is time", night, night.Add(time.Millisecond), true},
		{"it was done, as by a process before", night, night.Add(time.Second), false},
		{"the host slept", night.AddDate(0, 0, 1), night.AddDate(0, 0, 1).Add(policy.MaxRequestAge + time.Second), false},
		{"a little late", night.AddDate(0, 0, 2), night.AddDate(0, 0, 2).Add(policy.MaxRequestAge), true},
		{"the clock was set back", night.AddDate(4, 0, 0), night.Add(time.Hour), false},
	} {
		l.planned = c.planned
		if got := l.scheduled(t.Context(), c.now); got != c.want {
			t.Errorf("%s: got %v", c.what, got)
		}
		if c.now.After(c.planned) && !c.planned.IsZero() && !l.planned.After(c.now) {
			t.Errorf("%s: the next one is planned for %s", c.what, l.planned)
		}
		if l.planned.Sub(c.now) > 24*time.Hour {
			t.Errorf("%s: the next one is planned for %s", c.what, l.planned)
		}
	}
}

// A decision that waited for the first read is made again soon, even if the read has ended since: the end of a read is
// no label change.
func TestFirstReadEndsAfterTheDecision(t *testing.T) {
	t.Parallel()
	var config policy.Config
	config.SetDefaults()
	config.RetrainWhen.AccuracyBelow = &policy.AccuracyBelow{Share: 0.5}
	p, err := policy.Compile(config, time.UTC, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &Loop{rules: &Rules{Policy: p, Model: &configs.Model{Policy: config}}}
	now := time.Date(2026, 5, 4, 2, 30, 0, 0, time.UTC)
	if next := l.nextTurn(now, drift.Report{State: drift.StateNoRelease}, policy.Decision{}, true); next.Sub(now) > time.Second {
		t.Errorf("the next turn is in %s", next.Sub(now))
	}
}

// A scheduled evaluation that became due during another evaluation follows at once. The other one may have begun hours
// earlier, and may have checked no sample.
func TestScheduledDuringAnEvaluation(t *testing.T) {
	t.Parallel()
	var config policy.Config
	config.SetDefaults()
	config.Evaluate.Schedule = "30 2 * * *"
	config.RetrainWhen.AccuracyBelow = &policy.AccuracyBelow{Share: 0.5}
	p, err := policy.Compile(config, time.UTC, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	night := time.Date(2026, 5, 4, 2, 30, 0, 0, time.UTC)
	l := &Loop{rules: &Rules{Policy: p, Model: &configs.Model{Policy: config}}, planned: night}
	for now, want := range map[time.Time]time.Time{
		night.Add(-time.Minute): night,
		night.Add(time.Minute):  night.Add(time.Minute),
	} {
		if next := l.nextTurn(now, drift.Report{State: drift.StateOK}, policy.Decision{}, false); !next.Equal(want) {
			t.Errorf("at %s the next turn is at %s, want %s", now, next, want)
		}
	}
}
