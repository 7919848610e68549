package actions

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// housed is a model with so many ended runs, of which some came to a release, and one run that goes on.
func housed(t *testing.T, runs int, released func(i int) bool) (*Executor, Plan) {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	dir := filepath.Join(s.Dir(), "models", "m")
	p := Plan{Run: "open", Model: "m", ModelDir: dir, RunDir: filepath.Join(dir, "runs", "open")}
	writeText(t, filepath.Join(p.RunDir, "spec"), "x")
	writeText(t, filepath.Join(p.releaseDir(), "model"), "x")
	err = s.Update(t.Context(), "test", func(tx *store.Tx) error {
		if _, err := tx.AddRun(store.Run{ID: "open", Model: "m", State: store.RunQueued, Created: sealedAt}); err != nil {
			return err
		}
		for i := 1; i <= runs; i++ {
			id, at := fmt.Sprintf("r%02d", i), sealedAt.Add(time.Duration(i)*time.Hour)
			path := filepath.Join(dir, "releases", id)
			writeText(t, filepath.Join(path, "model"), id)
			writeText(t, filepath.Join(dir, "runs", id, "out.log"), id)
			if _, err := tx.AddRun(store.Run{ID: id, Model: "m", State: store.RunQueued, Created: at}); err != nil {
				return err
			}
			if _, err := tx.EndRun(id, string(policy.OutcomeFailed), "", "", at); err != nil {
				return err
			}
			if !released(i) {
				continue
			}
			digest := "sha256:" + id
			if err := tx.PutRelease(store.Release{
				Digest: digest, Model: "m", Run: id, Path: path, State: store.ReleaseRejected,
				Created: at,
			}); err != nil {
				return err
			}
			if err := tx.PutPrediction("m", digest, store.Prediction{Item: "1", TextHash: "h"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Executor{Store: s, Log: slog.New(slog.DiscardHandler)}, p
}

func TestPruneKeepsWhatIsInUse(t *testing.T) {
	t.Parallel()
	x, p := housed(t, 30, func(i int) bool { return i%2 == 1 }) // r01, r03 … r29 are releases; the others left half of one
	err := x.Store.Update(t.Context(), "test", func(tx *store.Tx) error {
		if err := tx.SetModel("m", store.Champion, "sha256:r03"); err != nil {
			return err
		}
		return tx.SetModel("m", store.Previous, "sha256:r01")
	})
	if err != nil {
		t.Fatal(err)
	}
	// A rollback that could not be finished: `current` names what is neither of the two.
	if err := point(p.ModelDir, filepath.Join(p.ModelDir, "releases", "r05")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		x.prune(t.Context(), p, x.Log)
	}
	want := []string{"open", "r01", "r03", "r05", "r21", "r23", "r25", "r26", "r27", "r28", "r29", "r30"}
	if got := entries(t, filepath.Join(p.ModelDir, "releases")); !slices.Equal(got, want) {
		t.Errorf("releases %v\nwant     %v", got, want)
	}
	kept := []string{"open"}
	for i := 11; i <= 30; i++ {
		kept = append(kept, fmt.Sprintf("r%02d", i))
	}
	if got := entries(t, filepath.Join(p.ModelDir, "runs")); !slices.Equal(got, kept) {
		t.Errorf("runs %v", got)
	}
	for digest, want := range map[string]int{
		"sha256:r01": 1, "sha256:r03": 1, "sha256:r05": 1, "sha256:r07": 0,
		"sha256:r19": 0, "sha256:r21": 1,
	} {
		n := 0
		if err := x.Store.View(t.Context(), func(tx *store.Tx) error {
			return tx.Predictions("m", digest, func(store.Prediction) { n++ })
		}); err != nil {
			t.Fatal(err)
		}
		if n != want {
			t.Errorf("%s has %d cached answers, want %d", digest, n, want)
		}
	}
}
