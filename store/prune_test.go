package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/retraind/retraind/store"
)

func TestThinning(t *testing.T) {
	t.Parallel()
	s := open(t)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for i := range 12 { // three hours, four per hour
		update(t, s, func(tx *store.Tx) error {
			if err := tx.AddReport(store.Report{Model: "m", At: at(15 * i), Seq: int64(i), Body: "{}"}); err != nil {
				return err
			}
			run := ""
			if i == 1 {
				run = "r"
			}
			_, err := tx.AddDecision(store.Decision{Model: "m", At: at(15 * i), Run: run, Body: fmt.Sprint(i)})
			return err
		})
	}
	update(t, s, func(tx *store.Tx) error { return tx.PruneHistory(at(120), at(-1000)) })
	var reports []int64
	for _, r := range view(t, s, func(tx *store.Tx) ([]store.Report, error) { return tx.Reports("m", time.Time{}, 100) }) {
		reports = append(reports, r.Seq)
	}
	if want := []int64{3, 7, 8, 9, 10, 11}; !slices.Equal(reports, want) {
		t.Errorf("reports %v, want %v", reports, want)
	}
	var decisions []string
	for _, d := range view(t, s, func(tx *store.Tx) ([]store.Decision,
		error,
	) {
		return tx.Decisions("m", "", at(1000), 100)
	}) {
		decisions = append(decisions, d.Body)
	}
	if want := []string{"11", "10", "9", "8", "7", "3", "1"}; !slices.Equal(decisions, want) {
		t.Errorf("decisions %v, want %v: the one that began a run stays", decisions, want)
	}
}

func TestPruneChanges(t *testing.T) {
	t.Parallel()
	s := open(t)
	add := func(model, key string) {
		update(t, s, func(tx *store.Tx) error {
			_, err := add(tx, model, store.Change{Source: "pg", Key: key, Op: "put", Item: key, At: noon})
			return err
		})
	}
	for _, key := range []string{"1", "2", "3", "4"} {
		add("m", key)
	}
	add("young", "5") // no release: everything is needed
	update(t, s, func(tx *store.Tx) error {
		if err := tx.PutRelease(store.Release{
			Digest: "d", Model: "m", Seq: 3, Labels: "{}", Metrics: "{}",
			State: store.ReleaseChampion, Created: noon,
		}); err != nil {
			return err
		}
		if err := tx.SetModel("m", store.Champion, "d"); err != nil {
			return err
		}
		return tx.SetModel("m", store.Applied, 2)
	})
	left := func(model string) (keys []string) {
		for _, c := range view(t, s, func(tx *store.Tx) ([]store.Change, error) { return tx.Changes(model, 0, 10) }) {
			keys = append(keys, c.Key)
		}
		return keys
	}
	update(t, s, func(tx *store.Tx) error { return tx.PruneChanges(noon) })
	if got := left("m"); len(got) != 4 {
		t.Errorf("young changes were deleted: %v", got)
	}
	update(t, s, func(tx *store.Tx) error { return tx.PruneChanges(noon.Add(time.Hour)) })
	if got := left("m"); !slices.Equal(got, []string{"3", "4"}) {
		t.Errorf("left %v, want those that are neither published nor trained on", got)
	}
	if got := left("young"); len(got) != 1 {
		t.Errorf("a model without a release lost %v", got)
	}
}
