package compose

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/store"
)

// Input is the input of the jobs of this package.
type Input struct {
	Service Service `json:"service"`
	Health  string  `json:"health,omitempty"` // URL that answers 200 once the service is up
	Trace   string  `json:"trace"`            // file with the run's trace
	// Candidate is the release to deploy, or to roll back.
	Candidate Release `json:"candidate,omitzero"`
	// Former is the release that served before; zero if there was none.
	Former Release `json:"former,omitzero"`
	Kept   string  `json:"kept"` // directory of kept files, with a subdirectory for each former release, named by Tag
	// Always makes Back restore the former release whatever the run's trace says.
	Always bool `json:"always,omitempty"`
}

// Release is one release of the model.
type Release struct {
	Digest string `json:"digest,omitempty"`
	Dir    string `json:"dir,omitempty"` // directory of its files; "" if it has none
}

// Deployed is the data of a deployment's result: the container in service and the measured times.
type Deployed struct {
	Project   string    `json:"project"`
	Service   string    `json:"service"`
	Container string    `json:"container"`
	Image     string    `json:"image"`
	Started   time.Time `json:"started"`
	// Outage is how long the service did not answer while the container was replaced; Build is how long the build took,
	// both in seconds.
	Outage float64 `json:"outage_s"`
	Build  float64 `json:"build_s,omitempty"`
}

// Deploy puts the candidate into service. A repeated call continues from the trace.
func Deploy(ctx context.Context, j job.Job) (job.Result, error) {
	d, err := newDeployment(ctx, j)
	if err != nil {
		return job.Result{}, err
	}
	defer d.engine.Close()
	var built time.Duration
	if d.Build && d.trace.Built == "" {
		began := time.Now()
		if err := d.buildCandidate(ctx); err != nil {
			return job.Result{}, err
		}
		built = time.Since(began)
	}
	if err := d.place(); err != nil {
		return job.Result{}, err
	}
	return d.exchange(ctx, built)
}

// deployment is one attempt to deploy the candidate, or to roll it back.
type deployment struct {
	*site
	in    Input
	job   job.Job
	trace *trace
	placer
}

// newDeployment decodes the input, finds the service and reads the trace. The run's first attempt creates the trace
// with the present state of the service.
func newDeployment(ctx context.Context, j job.Job) (*deployment, error) {
	var in Input
	if err := j.Decode(&in); err != nil {
		return nil, err
	}
	return deploymentOf(ctx, j, in)
}

func deploymentOf(ctx context.Context, j job.Job, in Input) (*deployment, error) {
	d := &deployment{job: j, in: in}
	var err error
	if d.site, err = find(ctx, in.Service); err != nil {
		return nil, err
	}
	d.placer = d.Service.placer(d.in.Kept)
	t, known, err := readTrace(d.in.Trace)
	d.trace = t
	if err != nil || known {
		return d, err
	}
	return d, t.mark(func(t *trace) { t.Since, t.Former = time.Now().UTC(), instanceOf(d.now) })
}

// keptDir returns the directory of the kept files of the former release.
func (d *deployment) keptDir() string { return filepath.Join(d.in.Kept, Tag(d.in.Former.Digest)) }

// keepFormer tags the image that served before the run with the digest of its release, so that `docker image prune`
// does not remove it. It does so once per run.
func (d *deployment) keepFormer(ctx context.Context) error {
	if d.trace.Kept || !d.Build || d.trace.Former.Image == "" {
		return nil
	}
	name := d.kept(d.in.Former.Digest)
	if err := note(d.in.Kept, d.in.Former.Digest, name); err != nil {
		return err
	}
	if err := d.engine.Tag(ctx, d.trace.Former.Image, name); err != nil {
		return fmt.Errorf("keep the present image: %w", err)
	}
	faults.Point("compose kept")
	return d.trace.mark(func(t *trace) { t.Kept = true })
}

// buildCandidate builds the image of the candidate under the name of its release. The name in the compose file still
// refers to the present image.
func (d *deployment) buildCandidate(ctx context.Context) error {
	if err := d.keepFormer(ctx); err != nil {
		return err
	}
	if err := d.place(); err != nil {
		return err
	}
	d.job.Progress(0.1, "building the image")
	name := d.kept(d.in.Candidate.Digest)
	if err := note(d.in.Kept, d.in.Candidate.Digest, name); err != nil {
		return err
	}
	if err := d.build(ctx, d.job.Dir, name); err != nil {
		return err
	}
	image, err := d.engine.Image(ctx, name)
	if err != nil {
		return fmt.Errorf("after the build: %w", err)
	}
	faults.Point("compose built")
	return d.trace.mark(func(t *trace) { t.Built = image.ID })
}

// place places the candidate's files.
func (d *deployment) place() error {
	if len(d.Place) == 0 {
		return nil
	}
	if err := d.trace.mark(func(t *trace) { t.Placing = true }); err != nil {
		return err
	}
	if err := d.placer.place(d.in.Candidate.Dir); err != nil {
		return err
	}
	faults.Point("compose placed")
	return nil
}

// exchange replaces the container with the candidate's, unless an earlier attempt has done so, and waits until the new
// container is healthy.
func (d *deployment) exchange(ctx context.Context, built time.Duration) (job.Result, error) {
	image := d.trace.Built
	if !d.Build {
		found, err := d.engine.Image(ctx, d.image)
		if err != nil {
			return job.Result{}, fmt.Errorf("the image of service %s: %w: build it once, or set build: true", d.Name, err)
		}
		image = found.ID
	}
	down := watchOutage(ctx, d.in.Health)
	defer down.stop()
	if !d.trace.Exchanging || d.now == nil || d.now.ID == d.trace.Former.Container || d.now.Image != image ||
		d.now.State == "created" { // compose was killed before it started the container
		if err := d.trace.mark(func(t *trace) { t.Exchanging = true }); err != nil {
			return job.Result{}, err
		}
		d.job.Progress(0.6, "replacing the container")
		if d.Build {
			if err := d.engine.Tag(ctx, image, d.image); err != nil {
				return job.Result{}, err
			}
		}
		faults.Point("compose exchanging")
		if err := d.exchangeContainer(ctx); err != nil {
			return job.Result{}, err
		}
		faults.Point("compose exchanged")
	}
	d.job.Progress(0.8, "waiting until the container is healthy")
	c, err := d.await(ctx, wanted{not: d.trace.Former.Container, image: image, since: d.trace.Since, url: d.in.Health})
	if err != nil {
		return job.Result{}, err
	}
	return d.done(c, down.end(), built), nil
}

// done returns the result of a deployment.
func (d *deployment) done(c docker.Container, down, built time.Duration) job.Result {
	data := Deployed{
		Project: d.Project, Service: d.Name, Container: c.ID, Image: c.Image, Started: c.Started, Outage: down.Seconds(),
		Build: built.Seconds(),
	}
	detail := fmt.Sprintf("container %s (%s) of image %s is healthy", c.Name, docker.Short(c.ID), docker.Short(c.Image))
	switch {
	case d.in.Health == "":
	case down == 0:
		detail += "; the service answered throughout"
	default:
		detail += "; the service did not answer for " + down.Round(10*time.Millisecond).String()
	}
	return job.Result{Class: store.StepOK, Detail: detail, Data: job.Encode(data)}
}

// putFilesBack restores the files as they were before the run.
func (d *deployment) putFilesBack() error {
	if len(d.Place) == 0 {
		return nil
	}
	return d.putBack(d.keptDir(), d.in.Former.Dir)
}
