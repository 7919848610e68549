package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
)

// Back restores the former release: first its files, then a container of its kept image, without a build. If the
// deployment changed nothing, neither does Back, unless Input.Always is set. A repeated call continues from the trace.
func Back(ctx context.Context, j job.Job) (job.Result, error) {
	var in Input
	if err := j.Decode(&in); err != nil {
		return job.Result{}, err
	}
	if _, known, err := readTrace(in.Trace); err != nil || !known && !in.Always {
		return job.Result{Class: store.StepOK, Detail: "nothing to undo: the deployment had changed nothing"}, err
	}
	d, err := deploymentOf(ctx, j, in)
	if err != nil {
		return job.Result{}, err
	}
	defer d.engine.Close()
	if d.trace.Placing || in.Always {
		if err := d.putFilesBack(); err != nil {
			return job.Result{}, err
		}
		faults.Point("compose files back")
	}
	if !d.trace.Exchanging && !in.Always {
		return job.Result{Class: store.StepOK, Detail: "the container was not changed; the files are restored"}, nil
	}
	return d.goBack(ctx)
}

// goBack replaces the container with one that is created from the former image.
func (d *deployment) goBack(ctx context.Context) (job.Result, error) {
	if d.trace.Former.Container == "" && !d.in.Always {
		return d.removeCandidate(ctx)
	}
	image, err := d.formerImage(ctx)
	if err != nil {
		return job.Result{}, err
	}
	if d.Build {
		if err := d.engine.Tag(ctx, image, d.image); err != nil {
			return job.Result{}, err
		}
	}
	down := watchOutage(ctx, d.in.Health)
	defer down.stop()
	want := wanted{image: image, url: d.in.Health}
	if d.now != nil && d.now.ID == d.trace.Former.Container && d.now.Running() && !d.in.Always {
		c, err := d.await(ctx, want) // the container was not replaced
		if err != nil {
			return job.Result{}, err
		}
		return d.done(c, down.end(), 0), nil
	}
	if d.trace.Back == nil {
		now := instanceOf(d.now)
		if err := d.trace.mark(func(t *trace) { t.Back = &now }); err != nil {
			return job.Result{}, err
		}
	}
	want.not = d.trace.Back.Container
	if !d.trace.Returning || d.now == nil || d.now.ID == want.not || d.now.Image != image || !d.now.Running() {
		if err := d.trace.mark(func(t *trace) { t.Returning = true }); err != nil {
			return job.Result{}, err
		}
		if err := d.exchangeContainer(ctx); err != nil {
			return job.Result{}, err
		}
		faults.Point("compose returned")
	}
	c, err := d.await(ctx, want)
	if err != nil {
		return job.Result{}, err
	}
	return d.done(c, down.end(), 0), nil
}

// formerImage returns the id of the former release's image.
func (d *deployment) formerImage(ctx context.Context) (string, error) {
	if !d.Build { // the image is not built here: use the one that the compose file names
		found, err := d.engine.Image(ctx, d.image)
		return found.ID, err
	}
	name := d.kept(d.in.Former.Digest)
	image, err := d.engine.Image(ctx, name)
	if errors.Is(err, docker.ErrNotFound) && d.trace.Former.Image != "" && !d.in.Always {
		image, err = d.engine.Image(ctx, d.trace.Former.Image)
	}
	if errors.Is(err, docker.ErrNotFound) {
		return "", fmt.Errorf("the image of release %s was removed (%s): place the files of the release, build the image, and bring the service up by hand",
			text.Digest(d.in.Former.Digest), name)
	}
	return image.ID, err
}

// removeCandidate removes the candidate's container if the service had no container before the run.
func (d *deployment) removeCandidate(ctx context.Context) (job.Result, error) {
	if d.now != nil {
		if err := d.engine.Stop(ctx, d.now.ID, 10*time.Second); err != nil {
			return job.Result{}, err
		}
		if err := d.engine.Remove(ctx, d.now.ID); err != nil {
			return job.Result{}, err
		}
	}
	return job.Result{Class: store.StepOK, Detail: "the candidate's container is removed: there was none before"}, nil
}
