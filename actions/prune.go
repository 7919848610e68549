package actions

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/retraind/retraind/store"
)

// How many releases and run directories of a model stay on disk beside those in use.
const (
	keepReleases = 5
	keepRuns     = 20
)

// prune removes the files of old releases and runs, never those of a release that serves or did so last, nor what
// `current` names.
func (x *Executor) prune(ctx context.Context, p Plan, log *slog.Logger) {
	var releases []store.Release
	var runs []store.Run
	var model store.Model
	err := x.Store.View(ctx, func(t *store.Tx) (err error) {
		if model, err = t.Model(p.Model); err != nil {
			return err
		}
		if releases, err = t.Releases(p.Model, 1000); err != nil {
			return err
		}
		runs, err = t.Runs(p.Model, 1000)
		return err
	})
	serving, cerr := current(p.ModelDir)
	if err != nil || cerr != nil {
		log.Warn("old releases stay on disk", "err", errors.Join(err, cerr))
		return
	}
	var old []store.Release
	known := map[string]bool{serving: true}
	for i, r := range releases {
		known[r.Path] = true
		if i < keepReleases || r.Path == serving || r.Digest == model.Champion || r.Digest == model.Previous {
			continue
		}
		if _, err := os.Lstat(r.Path); err == nil { // else it was removed after an earlier run
			old = append(old, r)
		}
	}
	var nothing []string // runs that came to no release, or to the same artifact as a later one
	for i, r := range runs {
		if r.State == store.RunEnded && i >= keepReleases && !known[filepath.Join(p.ModelDir, "releases", r.ID)] {
			nothing = append(nothing, r.ID)
		}
	}
	if err := x.forget(ctx, p, old, nothing); err != nil {
		log.Warn("the answers of old releases stay in the store", "err", err)
		return
	}
	var dirs []string
	for _, r := range old {
		if err := ForgetImage(ctx, p.ModelDir, r.Digest); err != nil {
			log.Warn("an old image stays", "err", err)
		}
		dirs = append(dirs, r.Path)
	}
	for _, run := range nothing {
		dirs = append(dirs, filepath.Join(p.ModelDir, "releases", run))
	}
	for i, r := range runs {
		if r.State == store.RunEnded && i >= keepRuns {
			dirs = append(dirs, filepath.Join(filepath.Dir(p.RunDir), r.ID))
		}
	}
	for _, dir := range dirs {
		if err := os.RemoveAll(dir); err != nil {
			log.Warn("an old directory stays on disk", "err", err)
		}
	}
}

// forget drops the cached answers of releases that cannot serve any more, and what they and other runs trained on.
func (x *Executor) forget(ctx context.Context, p Plan, releases []store.Release, runs []string) error {
	if len(releases)+len(runs) == 0 {
		return nil
	}
	return x.Store.Update(ctx, "prune releases", func(t *store.Tx) error {
		for _, run := range runs {
			if err := t.DropTrained(p.Model, run); err != nil {
				return err
			}
		}
		for _, r := range releases {
			if err := t.DropPredictions(p.Model, r.Digest); err != nil {
				return err
			}
			if err := t.DropTrained(p.Model, r.Run); err != nil {
				return err
			}
		}
		return nil
	})
}
