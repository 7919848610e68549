package actions

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/store"
)

// Prune removes old releases and runs of a model by its retention rules. dir is the model's directory.
func (x *Executor) Prune(ctx context.Context, model, dir string, rules RetentionConfig) {
	log := x.Log.With("model", model)
	h, err := x.household(ctx, model, dir)
	if err != nil {
		log.Warn("cannot remove old releases and runs", "err", err)
		return
	}
	rules = rules.WithDefaults()
	releases, dirs := h.oldReleases(rules.Releases)
	nothing := h.oldLeftovers(rules.Releases)
	if err := x.forget(ctx, model, releases, nothing); err != nil {
		log.Warn("cannot remove the answers of old releases from the store", "err", err)
		return
	}
	for _, r := range releases {
		if err := ForgetImage(ctx, dir, r.Digest); err != nil {
			log.Warn("cannot remove an old image", "err", err)
		}
	}
	for _, digest := range h.oldImages(ctx, rules.Images) {
		if err := compose.ForgetImage(ctx, composeKept(dir), digest); err != nil {
			log.Warn("cannot remove an old image", "err", err)
		}
	}
	for _, run := range nothing {
		dirs = append(dirs, h.releaseOf(run))
	}
	dirs = append(dirs, h.oldRuns(rules)...)
	for _, dir := range dirs {
		if err := os.RemoveAll(dir); err != nil {
			log.Warn("cannot remove an old directory", "err", err)
		}
	}
}

// prune calls Prune at the end of a run, with the rules in the run's plan.
func (x *Executor) prune(ctx context.Context, p Plan) {
	var rules RetentionConfig
	if p.Retention != nil {
		rules = *p.Retention
	}
	x.Prune(ctx, p.Model, p.ModelDir, rules)
}

// household has the facts that decide which files of a model may be removed: the model's recorded releases and runs,
// and which of them are in use.
type household struct {
	dir      string
	now      time.Time
	releases []store.Release // newest first
	runs     []store.Run     // newest first
	model    store.Model
	serving  string          // target of `current`
	needed   map[string]bool // ids of unfinished runs and of their parents
}

func (x *Executor) household(ctx context.Context, model, dir string) (household, error) {
	h := household{dir: dir, now: now(), needed: map[string]bool{}}
	const most = 1000
	err := x.Store.View(ctx, func(t *store.Tx) (err error) {
		if h.model, err = t.Model(model); err != nil {
			return err
		}
		if h.releases, err = t.Releases(model, most); err != nil {
			return err
		}
		h.runs, err = t.Runs(model, most)
		return err
	})
	for _, r := range h.runs {
		if r.State == store.RunEnded {
			continue
		}
		h.needed[r.ID] = true
		var p Plan
		if json.Unmarshal([]byte(r.Plan), &p) == nil && p.Parent != nil {
			h.needed[p.Parent.Run] = true
		}
	}
	serving, cerr := current(dir)
	h.serving = serving
	return h, errors.Join(err, cerr)
}

func (h household) releaseOf(run string) string { return filepath.Join(h.dir, "releases", run) }

// inUse reports whether a release is the champion or the previous champion, is what `current` points to, is pinned, or
// belongs to an unfinished run or its parent.
func (h household) inUse(r store.Release) bool {
	return r.Pinned != "" || r.Path == h.serving || r.Digest == h.model.Champion || r.Digest == h.model.Previous ||
		h.needed[r.Run]
}

// oldReleases returns the releases that exceed the limits, with their directories. They can no longer be deployed.
func (h household) oldReleases(rule KeepConfig) (old []store.Release, dirs []string) {
	things := make([]kept, len(h.releases))
	for i, r := range h.releases {
		things[i] = kept{r.Created, sizeIf(rule.Size > 0, r.Path), h.inUse(r)}
	}
	for _, i := range rule.surplus(things, h.now) {
		r := h.releases[i]
		if _, err := os.Lstat(r.Path); err == nil { // else it was removed before
			old, dirs = append(old, r), append(dirs, r.Path)
		}
	}
	return old, dirs
}

// oldImages returns the digests of the releases whose images exceed the limits. The files of the releases stay: a
// deployment of such a release builds its image again.
func (h household) oldImages(ctx context.Context, rule KeepConfig) (old []string) {
	if rule == (KeepConfig{}) {
		return nil
	}
	var with []store.Release
	var things []kept
	for _, r := range h.releases {
		size, there := compose.KeptImage(ctx, composeKept(h.dir), r.Digest, rule.Size > 0)
		if there {
			with = append(with, r)
			things = append(things, kept{r.Created, size, h.inUse(r)})
		}
	}
	for _, i := range rule.surplus(things, h.now) {
		old = append(old, with[i].Digest)
	}
	return old
}

// oldLeftovers returns the runs beyond the limits whose release files belong to no release: the run ended without one,
// or a later run produced the same artifact.
func (h household) oldLeftovers(rule KeepConfig) (old []string) {
	known := map[string]bool{h.serving: true}
	for _, r := range h.releases {
		known[r.Path] = true
	}
	things := make([]kept, len(h.runs))
	for i, r := range h.runs {
		path := h.releaseOf(r.ID)
		things[i] = kept{r.Created, 0, known[path] || h.needed[r.ID]}
		if !things[i].inUse {
			things[i].size = sizeIf(rule.Size > 0, path)
		}
	}
	for _, i := range rule.surplus(things, h.now) {
		old = append(old, h.runs[i].ID)
	}
	return old
}

// oldRuns returns the directories of runs, and of their commands, that exceed the limits.
func (h household) oldRuns(rules RetentionConfig) (dirs []string) {
	for _, rule := range []struct {
		KeepConfig
		below string
	}{{rules.Runs, ""}, {rules.Steps, "steps"}} {
		things := make([]kept, len(h.runs))
		at := func(i int) string { return filepath.Join(h.dir, "runs", h.runs[i].ID, rule.below) }
		for i, r := range h.runs {
			things[i] = kept{r.Created, sizeIf(rule.Size > 0, at(i)), h.needed[r.ID]}
		}
		for _, i := range rule.surplus(things, h.now) {
			dirs = append(dirs, at(i))
		}
	}
	return dirs
}

// sizeIf returns the size of a directory if a rule needs it; 0 if it does not exist.
func sizeIf(asked bool, dir string) (size int64) {
	if !asked {
		return 0
	}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // unreadable files are not counted
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // the others are counted
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}

// forget deletes the cached answers of releases that can no longer be deployed. It also deletes the records of the
// items on which these releases and the given runs were trained.
func (x *Executor) forget(ctx context.Context, model string, releases []store.Release, runs []string) error {
	if len(releases)+len(runs) == 0 {
		return nil
	}
	return x.Store.Update(ctx, "prune releases", func(t *store.Tx) error {
		for _, run := range runs {
			if err := t.DropTrained(model, run); err != nil {
				return err
			}
		}
		for _, r := range releases {
			if err := t.DropPredictions(model, r.Digest); err != nil {
				return err
			}
			if err := t.DropTrained(model, r.Run); err != nil {
				return err
			}
		}
		return nil
	})
}
