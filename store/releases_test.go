package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/store"
)

func TestReleases(t *testing.T) {
	t.Parallel()
	s := open(t)
	one := store.Release{
		Digest: "sha256:1", Model: "m", Run: "r1", Path: "/p/r1", Seq: 1, Info: "i", Labels: "{}",
		Metrics: "{}", State: store.ReleaseCandidate, Created: noon,
	}
	two := one
	two.Digest, two.Run, two.Path, two.Created = "sha256:2", "r2", "/p/r2", noon.Add(time.Hour)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.PutRelease(one), tx.PutRelease(two), tx.SetReleaseState("m", "sha256:1", store.ReleaseChampion))
	})
	one.State = store.ReleaseChampion
	list := func() []store.Release {
		return view(t, s, func(tx *store.Tx) ([]store.Release, error) { return tx.Releases("m", 10) })
	}
	if diff := cmp.Diff([]store.Release{two, one}, list()); diff != "" {
		t.Error(diff)
	}
	// The same artifact trained again is the same release, found at its new path.
	again := one
	again.Run, again.Path, again.State, again.Created = "r3", "/p/r3", store.ReleaseCandidate, noon.Add(2*time.Hour)
	update(t, s, func(tx *store.Tx) error { return tx.PutRelease(again) })
	again.Created = noon
	if got := view(t, s, func(tx *store.Tx) (store.Release, error) { return tx.Release("m", "sha256:1") }); got != again {
		t.Error(cmp.Diff(again, got))
	}
	// For another model it is another release.
	other := again
	other.Model, other.Path, other.State = "n", "/n/r3", store.ReleaseRejected
	update(t, s, func(tx *store.Tx) error { return tx.PutRelease(other) })
	for _, want := range []store.Release{again, other} {
		if got := view(t, s, func(tx *store.Tx) (store.Release,
			error,
		) {
			return tx.Release(want.Model, want.Digest)
		}); got != want {
			t.Error(cmp.Diff(want, got))
		}
	}
	err := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.Release("m", "sha256:3"); return err })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown release: %v", err)
	}
	for i, want := range []bool{true, false} {
		update(t, s, func(tx *store.Tx) error {
			first, err := tx.AddDeploy("m", "sha256:1", "r1", "deploy", noon)
			if first != want {
				t.Errorf("deploy %d is the first: %v", i, first)
			}
			return err
		})
	}
}
