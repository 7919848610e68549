package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/store"
)

func TestReportsAndPruning(t *testing.T) {
	t.Parallel()
	s := open(t)
	at := func(days int) time.Time { return noon.AddDate(0, 0, days) }
	for _, model := range []string{"m", "n"} {
		for day := range 4 {
			update(t, s, func(tx *store.Tx) error {
				return tx.AddReport(store.Report{Model: model, At: at(day), Seq: int64(day), State: "ok", Accuracy: .9, Body: "{}"})
			})
		}
	}
	days := func(since time.Time, limit int) (out []int64) {
		for _, r := range view(t, s, func(tx *store.Tx) ([]store.Report, error) { return tx.Reports("m", since, limit) }) {
			out = append(out, r.Seq)
		}
		return out
	}
	if got := days(at(0), 10); !slices.Equal(got, []int64{0, 1, 2, 3}) {
		t.Errorf("oldest first: %v", got)
	}
	if got := days(at(1), 2); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("the newest two since: %v", got)
	}
	update(t, s, func(tx *store.Tx) error { return tx.PruneHistory(at(2), at(2)) })
	if got := days(time.Time{}, 10); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("after pruning: %v", got)
	}
	update(t, s, func(tx *store.Tx) error { return tx.PruneHistory(at(100), at(100)) })
	if got := days(time.Time{}, 10); !slices.Equal(got, []int64{3}) {
		t.Errorf("a model's newest report stays: %v", got)
	}
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i, run := range []string{"", "run1", ""} {
		update(t, s, func(tx *store.Tx) error {
			n, err := tx.AddDecision(store.Decision{
				Model: "m", At: noon.Add(time.Duration(i) * time.Minute), Verdict: "hold",
				Reason: "cooldown", Run: run, Body: fmt.Sprint(i),
			})
			if n != int64(i+1) {
				t.Errorf("number %d", n)
			}
			return err
		})
	}
	find := func(model, run string, until time.Time, limit int) (out string) {
		for _, d := range view(t, s,
			func(tx *store.Tx) ([]store.Decision, error) { return tx.Decisions(model, run, until, limit) }) {
			out += d.Body
		}
		return out
	}
	for _, c := range []struct{ got, want string }{
		{find("m", "", noon.Add(time.Hour), 10), "210"},
		{find("m", "", noon.Add(time.Hour), 1), "2"},
		{find("m", "", noon.Add(time.Minute), 10), "10"},
		{find("", "run1", noon.Add(time.Hour), 10), "1"},
		{find("m", "run2", noon.Add(time.Hour), 10), ""},
		{find("n", "", noon.Add(time.Hour), 10), ""},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// Times are stored as text, and the texts must sort by time.
func TestTimesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		model := rapid.StringMatching(`[a-z]{12}`).Draw(rt, "model")
		micro := rapid.Int64Range(0, 4e15) // up to the year 2096
		a, b := time.UnixMicro(micro.Draw(rt, "a")), time.UnixMicro(micro.Draw(rt, "b"))
		if err := s.Update(t.Context(), "report", func(tx *store.Tx) error {
			return tx.AddReport(store.Report{Model: model, At: a, Body: "{}"})
		}); err != nil {
			rt.Fatal(err)
		}
		defer func() {
			_ = s.Update(t.Context(), "clean", func(tx *store.Tx) error {
				return errors.Join(tx.AddReport(store.Report{Model: model, At: time.UnixMicro(0), Body: "{}"}),
					tx.PruneHistory(time.UnixMicro(5e15), time.UnixMicro(5e15)))
			})
		}()
		var found []store.Report
		if err := s.View(t.Context(),
			func(tx *store.Tx) (err error) { found, err = tx.Reports(model, b, 10); return err }); err != nil {
			rt.Fatal(err)
		}
		if (len(found) == 1) != !a.Before(b) {
			rt.Fatalf("%v since %v: %d found", a, b, len(found))
		}
		if len(found) == 1 && !found[0].At.Equal(a) {
			rt.Fatalf("%v came back as %v", a, found[0].At)
		}
	})
}
