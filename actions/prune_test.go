package actions

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// housed returns an executor whose store has a model with the given number of ended runs, some of them with a release,
// and one open run. It also returns the plan of the open run.
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
	x, p := housed(t, 30, func(i int) bool { return i%2 == 1 }) // odd runs have a release, even ones only its files
	err := x.Store.Update(t.Context(), "test", func(tx *store.Tx) error {
		if err := tx.SetModel("m", store.Champion, "sha256:r03"); err != nil {
			return err
		}
		return tx.SetModel("m", store.Previous, "sha256:r01")
	})
	if err != nil {
		t.Fatal(err)
	}
	// A rollback that could not be completed: `current` points to neither of the two releases.
	if err := point(p.ModelDir, filepath.Join(p.ModelDir, "releases", "r05")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second call has nothing to do
		x.prune(t.Context(), p)
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

// Pinned releases stay. An image may be removed before its release, but never the image of a release that is in use.
func TestPruneKeepsPinned(t *testing.T) {
	t.Parallel()
	x, p := housed(t, 9, func(int) bool { return true })
	err := x.Store.Update(t.Context(), "test", func(tx *store.Tx) error {
		if there, err := tx.SetPinned("m", "sha256:r02", `{"by": "anna"}`); err != nil || !there {
			return fmt.Errorf("pinned: %t, %w", there, err)
		}
		if there, err := tx.SetPinned("m", "sha256:none", `{}`); err != nil || there {
			return fmt.Errorf("pinned: %t, %w", there, err)
		}
		return tx.SetModel("m", store.Champion, "sha256:r04")
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 8; i++ { // r09 has no image
		digest := fmt.Sprintf("sha256:r%02d", i)
		writeText(t, filepath.Join(composeKept(p.ModelDir), compose.Tag(digest), "image"), "retraind/m:"+digest+"\n")
	}
	h, err := x.household(t.Context(), "m", p.ModelDir)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		rule KeepConfig
		want []string
	}{
		"no rule": {KeepConfig{}, nil},
		"count":   {KeepConfig{Count: 3}, []string{"sha256:r05", "sha256:r03", "sha256:r01"}},
		"age":     {KeepConfig{Age: unit.Duration(time.Hour)}, []string{"sha256:r07", "sha256:r06", "sha256:r05", "sha256:r03", "sha256:r01"}},
	} {
		if got := h.oldImages(t.Context(), c.rule); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if _, dirs := h.oldReleases(KeepConfig{Count: 3}); len(dirs) != 4 || slices.Contains(dirs, h.releaseOf("r02")) {
		t.Errorf("releases: %v", dirs)
	}
}

func TestSurplus(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	at := func(days int, size int64, inUse bool) kept {
		return kept{sealedAt.Add(-time.Duration(days) * day), size, inUse}
	}
	things := []kept{at(0, 50, false), at(1, 40, false), at(2, 30, true), at(3, 20, false), at(9, 10, false)}
	for name, c := range map[string]struct {
		rule KeepConfig
		want []int
	}{
		"no bound":              {KeepConfig{}, nil},
		"count":                 {KeepConfig{Count: 2}, []int{3, 4}},
		"count of one":          {KeepConfig{Count: 1}, []int{1, 3, 4}},
		"age":                   {KeepConfig{Age: unit.Duration(36 * time.Hour)}, []int{3, 4}},
		"size":                  {KeepConfig{Size: 95}, []int{3, 4}},
		"small ones fit in":     {KeepConfig{Size: 90 + 30 + 10}, []int{3}},
		"the newest is too big": {KeepConfig{Size: 20}, []int{1, 3, 4}},
		"all together":          {KeepConfig{Count: 4, Age: unit.Duration(5 * day), Size: 140}, []int{4}},
	} {
		if got := c.rule.surplus(things, sealedAt); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The files that an unfinished run needs are always kept, including those that it reuses from another run.
func TestPruneByTheRulesOfAModel(t *testing.T) {
	t.Parallel()
	x, p := housed(t, 6, func(i int) bool { return i%2 == 1 })
	err := x.Store.Update(t.Context(), "test", func(tx *store.Tx) error {
		retry := Plan{Run: "retry", Parent: &Parent{Run: "r02"}}
		if _, err := tx.AddRun(store.Run{
			ID: "retry", Model: "m", State: store.RunQueued, Plan: mustJSON(retry), Created: sealedAt.Add(time.Hour * 10),
		}); err != nil {
			return err
		}
		return tx.SetModel("m", store.Champion, "sha256:r01")
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"r02", "r05", "r06"} {
		writeText(t, filepath.Join(p.ModelDir, "runs", run, "steps", "train", "a1", "out.log"), "x")
	}
	rules := RetentionConfig{Releases: KeepConfig{Count: 2}, Runs: KeepConfig{Count: 4}, Steps: KeepConfig{Count: 2}}
	p.Retention = &rules
	for range 2 {
		x.prune(t.Context(), p)
	}
	if got := entries(t, filepath.Join(p.ModelDir, "releases")); !slices.Equal(got, []string{"open", "r01", "r02", "r03", "r05", "r06"}) {
		t.Errorf("releases %v", got)
	}
	if got := entries(t, filepath.Join(p.ModelDir, "runs")); !slices.Equal(got, []string{"open", "r02", "r04", "r05", "r06"}) {
		t.Errorf("runs %v", got)
	}
	for run, want := range map[string]bool{"r02": true, "r05": false, "r06": true} {
		if got := exists(filepath.Join(p.ModelDir, "runs", run, "steps")); got != want {
			t.Errorf("%s: steps are there: %v", run, got)
		}
	}
}

// A step is not started if the disk has less space than it used in earlier runs.
func TestRoom(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	big := sh("train", "head -c 300000 /dev/zero >$RETRAIND_RELEASE_DIR/zeros; exec "+w.self+" fake-train 7")
	r := w.run(pipeline(big))
	w.ends(r, policy.OutcomePromoted, "first release", "export ok", "train ok", "gate ok", "release ok", "verify ok")
	sum, err := ReadSummary(r.Result)
	if err != nil || sum.Sizes["train"] < 300_000 || sum.Sizes["train"] > 400_000 || sum.Sizes["export"] == 0 {
		t.Fatalf("sizes %v, %v", sum.Sizes, err)
	}
	sum.Sizes["train"] = 1 << 60
	w.runs++
	p := w.plan(pipeline(big))
	w.add(Plan{Run: "large", Model: "m", Created: now()})
	w.update(func(tx *store.Tx) error {
		_, err := tx.EndRun("large", string(policy.OutcomeFailed), "", mustJSON(sum), now())
		return err
	})
	w.add(p)
	w.handOver(p)
	r = w.await(p)
	w.ends(r, policy.OutcomeBlocked, "step train is not started: it wrote up to 1048576.0 TiB in the last 2 runs, but "+w.dir,
		"export ok", "train blocked")
	if sum, err = ReadSummary(r.Result); err != nil || sum.Result.Why != policy.ReasonDiskFull {
		t.Errorf("%+v, %v", sum.Result, err)
	}
}
