package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/store"
)

func newRun(id string) store.Run {
	return store.Run{
		ID: id, Model: "m", Pipeline: "default", Trigger: "because", Forced: true, State: store.RunQueued,
		Info: "i", Plan: "{}", Created: noon,
	}
}

func TestRunLife(t *testing.T) {
	t.Parallel()
	s := open(t)
	do := func(what string, want bool, f func(*store.Tx) (bool, error)) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			got, err := f(tx)
			if got != want {
				t.Errorf("%s: %v", what, got)
			}
			return err
		})
	}
	r := newRun("run0001")
	add := func(tx *store.Tx) (bool, error) { return tx.AddRun(r) }
	do("added", true, add)
	do("added again", false, add)
	do("started", true, func(tx *store.Tx) (bool, error) { return tx.StartRun(r.ID, noon.Add(time.Minute)) })
	do("started again", false, func(tx *store.Tx) (bool, error) { return tx.StartRun(r.ID, noon.Add(time.Hour)) })
	if open := view(t, s, func(tx *store.Tx) ([]store.Run, error) { return tx.OpenRuns() }); len(open) != 1 {
		t.Errorf("open runs: %+v", open)
	}
	update(t, s, func(tx *store.Tx) error { return tx.CancelRun(r.ID, "anna") })
	end := func(outcome string) func(tx *store.Tx) (bool, error) {
		return func(tx *store.Tx) (bool, error) {
			return tx.EndRun(r.ID, outcome, "reason of "+outcome, "{}", noon.Add(time.Hour))
		}
	}
	do("ended", true, end("cancelled"))
	do("ended again", false, end("promoted"))
	do("started after its end", false, func(tx *store.Tx) (bool, error) { return tx.StartRun(r.ID, noon) })
	if err := s.Update(t.Context(), "cancel",
		func(tx *store.Tx) error { return tx.CancelRun(r.ID, "bob") }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an ended run was cancelled: %v", err)
	}
	r.State, r.Outcome, r.Reason, r.Result, r.Cancel = store.RunEnded, "cancelled", "reason of cancelled", "{}", "anna"
	r.Started, r.Ended = noon.Add(time.Minute), noon.Add(time.Hour)
	if diff := cmp.Diff(r, view(t, s, func(tx *store.Tx) (store.Run, error) { return tx.Run(r.ID) })); diff != "" {
		t.Error(diff)
	}
	if open := view(t, s, func(tx *store.Tx) ([]store.Run, error) { return tx.OpenRuns() }); len(open) != 0 {
		t.Errorf("open runs: %+v", open)
	}
}

func TestRunByTheEndOfItsID(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, id := range []string{"01aaaabcd", "01bbbbbcd", "01cccc%__", "5678", "01dddd5678", "01eeeexyz1"} {
		update(t, s, func(tx *store.Tx) error { _, err := tx.AddRun(newRun(id)); return err })
	}
	for id, want := range map[string]string{
		"01aaaabcd":       "01aaaabcd",
		"aabcd":           "01aaaabcd",
		"bcd":             "", // too short
		"abcd":            "01aaaabcd",
		"XYZ1":            "01eeeexyz1", // as somebody may type it
		"5678":            "5678",       // the complete id wins over another id's suffix
		"%":               "",
		"%bcd":            "", // no wildcards
		"_bcd":            "",
		"____":            "",
		"%%%%":            "",
		"c%__":            "01cccc%__",
		"":                "",
		"bbcd":            "01bbbbbcd",
		"0101aaaabcd":     "",
		"x' or '1' = '1":  "",
		"aaaabcd\x00":     "",
		"01aaaabcd extra": "",
	} {
		var got store.Run
		err := s.View(t.Context(), func(tx *store.Tx) (err error) { got, err = tx.Run(id); return err })
		if got.ID != want || (want == "") != errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q gives %q, %v; want %q", id, got.ID, err, want)
		}
	}
	update(t, s, func(tx *store.Tx) error { _, err := tx.AddRun(newRun("02aaaabcd")); return err })
	if err := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.Run("aaaabcd"); return err }); !errors.Is(err,
		store.ErrSeveral) {
		t.Errorf("two runs end so: %v", err)
	}
}

func TestRunsNewestFirst(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 4 {
		r := newRun(fmt.Sprint("run000", i))
		r.Created = noon.Add(time.Duration(i) * time.Hour)
		if i == 3 {
			r.Model = "n"
		}
		update(t, s, func(tx *store.Tx) error { _, err := tx.AddRun(r); return err })
	}
	list := func(model string, limit int) string {
		var ids []string
		for _, r := range view(t, s, func(tx *store.Tx) ([]store.Run, error) { return tx.Runs(model, limit) }) {
			ids = append(ids, r.ID[6:])
		}
		return strings.Join(ids, "")
	}
	for _, c := range [][2]string{
		{list("m", 10), "210"},
		{list("m", 2), "21"},
		{list("", 10), "3210"},
		{list("x", 10), ""},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	s := open(t)
	update(t, s, func(tx *store.Tx) error { _, err := tx.AddRun(newRun("run0001")); return err })
	put := func(st store.Step) { update(t, s, func(tx *store.Tx) error { return tx.PutStep(st) }) }
	begun := store.Step{
		Run: "run0001", Ord: 1, Name: "train", Attempt: 1, Kind: "do", State: store.StepRunning,
		Started: noon,
	}
	put(begun)
	again := begun
	again.Started = noon.Add(time.Hour) // recorded again after a restart: the start time stays
	put(again)
	ended := begun
	ended.State, ended.Detail, ended.Ended = store.StepOK, "fine", noon.Add(2*time.Hour)
	put(ended)
	first := store.Step{Run: "run0001", Ord: 0, Name: "export", Attempt: 1, Kind: "do", State: store.StepOK, Started: noon}
	put(first)
	if diff := cmp.Diff([]store.Step{first, ended},
		view(t, s, func(tx *store.Tx) ([]store.Step, error) { return tx.Steps("run0001") })); diff != "" {
		t.Error(diff)
	}
	if err := s.Update(t.Context(), "orphan",
		func(tx *store.Tx) error { return tx.PutStep(store.Step{Run: "none", Name: "x", Started: noon}) }); err == nil {
		t.Error("a step without a run was stored")
	}
}

// The expected duration of a step counts only successful steps, from their first attempt on, in runs of the same
// pipeline.
func TestStepTimes(t *testing.T) {
	t.Parallel()
	s := open(t)
	put := func(run, pipeline string, age int, steps ...store.Step) {
		update(t, s, func(tx *store.Tx) error {
			r := newRun(run)
			r.Pipeline, r.Created = pipeline, noon.Add(-time.Duration(age)*time.Hour)
			if _, err := tx.AddRun(r); err != nil {
				return err
			}
			for i, step := range steps {
				step.Run, step.Ord, step.Kind = run, i, "pure"
				if err := tx.PutStep(step); err != nil {
					return err
				}
			}
			_, err := tx.EndRun(run, "promoted", "", "{}", noon)
			return err
		})
	}
	step := func(name string, state store.StepState, attempt, from, to int) store.Step {
		return store.Step{
			Name: name, State: state, Attempt: attempt, Started: noon.Add(time.Duration(from) * time.Minute),
			Ended: noon.Add(time.Duration(to) * time.Minute),
		}
	}
	put("run1", "default", 3, step("train", store.StepFailed, 1, 0, 5), step("train", store.StepOK, 2, 6, 30))
	put("run2", "default", 2, step("train", store.StepOK, 1, 0, 20), step("gate", store.StepOK, 1, 20, 21))
	put("run3", "default", 1, step("train", store.StepFailed, 1, 0, 1))
	put("run4", "full", 0, step("train", store.StepOK, 1, 0, 300))
	times := func(runs int) map[string][]time.Duration {
		got := view(t, s, func(tx *store.Tx) (map[string][]time.Duration,
			error,
		) {
			return tx.StepTimes("m", "default", runs)
		})
		for _, list := range got {
			slices.Sort(list)
		}
		return got
	}
	want := map[string][]time.Duration{"train": {20 * time.Minute, 30 * time.Minute}, "gate": {time.Minute}}
	if diff := cmp.Diff(want, times(100)); diff != "" {
		t.Error(diff)
	}
	if got := times(2); len(got["train"]) != 1 {
		t.Errorf("of the two newest runs one says how long a training takes: %v", got)
	}
}
