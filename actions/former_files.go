package actions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/store"
)

// formerFile marks, in a run's directory, that the files to be replaced have been saved.
const formerFile = "former-kept"

// unsettled returns the path of the file that names the champion whose saved files may have to be restored: it is written
// when they are saved, and removed after they were restored or a candidate was promoted.
func (p Plan) unsettled() string { return filepath.Join(composeKept(p.ModelDir), "unsettled") }

// composed returns the step that deploys with compose; nil without one.
func (p Plan) composed() *Step {
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Compose != nil })
	if i < 0 {
		return nil
	}
	return &p.Steps[i]
}

// places returns the step that places files into a build context; nil without one.
func (p Plan) places() *Step {
	if s := p.composed(); s != nil && len(s.Compose.Files) > 0 {
		return s
	}
	return nil
}

// keepFormer saves the files that the deployment will replace. It does so before the first step of a run, because the
// training may write to the same paths. If the last run could not restore them, keepFormer does so first.
func (x *Executor) keepFormer(ctx context.Context, p Plan) error {
	step := p.places()
	mark := filepath.Join(p.RunDir, formerFile)
	if step == nil || p.Rollback != nil {
		return nil
	}
	if _, err := os.Stat(mark); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in, err := x.composeInput(ctx, p, *step)
	if err != nil {
		return err
	}
	champion, err := os.ReadFile(p.unsettled())
	if err == nil && string(champion) == p.Champion {
		err = in.Service.PutBack(in.Kept, p.Champion, in.Former.Dir)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = in.Service.Keep(in.Kept, p.Champion, in.Former.Dir)
	}
	if err == nil {
		err = durable.WriteFile(p.unsettled(), []byte(p.Champion), 0o600)
	}
	if err != nil {
		return fmt.Errorf("deploy.compose.files: %w", err)
	}
	if err := os.MkdirAll(p.RunDir, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(mark, nil, 0o600)
}

// settle cleans up the build context after a run that promoted nothing: it restores the saved files and removes the
// candidate's container and image. It is idempotent.
func (x *Executor) settle(ctx context.Context, p Plan, log *slog.Logger) error {
	beside := func(s Step) bool { return s.Predict != nil && s.Predict.URL == "" }
	if p.composed() != nil && slices.ContainsFunc(p.Steps, beside) {
		if err := compose.RemoveBeside(ctx, oneOffName(p)); err != nil {
			log.Warn("the container of the candidate's image may still be there", "err", err)
		}
	}
	step := p.places()
	if step == nil || p.Rollback != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(p.RunDir, formerFile)); err != nil {
		return nil //nolint:nilerr // nothing was kept, since no step was started
	}
	in, err := x.composeInput(ctx, p, *step)
	if err != nil {
		return err
	}
	if err := in.Service.PutBack(in.Kept, p.Champion, in.Former.Dir); err != nil {
		return err
	}
	if err := os.Remove(p.unsettled()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	digest := in.Candidate.Digest
	var used bool
	err = x.Store.View(ctx, func(t *store.Tx) error {
		m, err := t.Model(p.Model)
		used = digest == "" || digest == m.Champion || digest == m.Previous
		return err
	})
	if err == nil && !used {
		err = ForgetImage(ctx, p.ModelDir, digest)
	}
	if err != nil {
		log.Warn("the candidate's image cannot be removed", "err", err)
	}
	return nil
}
