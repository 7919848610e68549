package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/dockertest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/store"
)

// TestMain lets the test binary also run as a job and, under the name docker-compose, as compose's command line.
func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "docker-compose":
		os.Exit(dockertest.Compose(os.Args[1:]))
	case len(os.Args) == 4 && os.Args[1] == "step":
		kinds := map[string]job.Work{"deploy": Deploy, "back": Back, "act": Do}
		if err := job.Run(context.Background(), kinds, os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// place is a docker compose service with the model "old", and a release "new" to deploy.
type place struct {
	t       *testing.T
	engine  *dockertest.Engine
	bin     string
	dir     string // of the compose file
	in      Input
	attempt int
}

const oldImage = "sha256:01d0"

func newPlace(t *testing.T) *place {
	t.Helper()
	root := t.TempDir()
	p := &place{t: t, engine: dockertest.Start(t), bin: filepath.Join(root, "bin"), dir: filepath.Join(root, "shop")}
	self, err := os.Executable()
	if err == nil {
		err = os.Mkdir(p.bin, 0o755)
	}
	if err == nil {
		err = os.Symlink(self, filepath.Join(p.bin, "docker-compose"))
	}
	if err != nil {
		t.Fatal(err)
	}
	p.write("models/model.pkl", "old")
	p.write("docker-compose.yml", dockertest.ComposeFile("api", "shop-api"))
	p.engine.Put(p.container("c0"))
	release := filepath.Join(root, "release")
	writeFile(t, filepath.Join(release, "model.pkl"), "new")
	p.in = Input{
		Service: Service{
			Dir: p.dir, Name: "api", Build: true, Place: map[string]string{"model.pkl": "models/model.pkl"},
			Within: waittest.Patience,
		},
		Trace: filepath.Join(root, "run", "compose.json"), Kept: filepath.Join(root, "kept"),
		Candidate: Release{"sha256:00ne3w00ne3w00ne3w", release}, Former: Release{Digest: "adopted:0123456789abcdef"},
	}
	if err := p.in.Service.Keep(p.in.Kept, p.in.Former.Digest, ""); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) container(id string) dockertest.Container {
	return dockertest.Container{
		ID: id, Name: "shop_api_1", Image: oldImage, ImageName: "shop-api", State: "running", Started: time.Now().Add(-time.Hour),
		Labels: map[string]string{
			docker.LabelProject: "shop", docker.LabelService: "api", docker.LabelDir: p.dir,
			docker.LabelFiles: filepath.Join(p.dir, "docker-compose.yml"),
		},
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *place) write(name, text string) {
	p.t.Helper()
	writeFile(p.t, filepath.Join(p.dir, name), text)
}

// job runs a job of a deployment and returns its result.
func (p *place) job(kind string) (job.Result, Deployed) {
	p.t.Helper()
	return p.jobOn(kind, p.in)
}

// jobOn runs a job with the given input in a separate process, as the supervisor does.
func (p *place) jobOn(kind string, in any) (job.Result, Deployed) {
	p.t.Helper()
	p.attempt++
	dir := filepath.Join(filepath.Dir(p.in.Trace), fmt.Sprint("a", p.attempt))
	if err := job.Prepare(dir, func() (any, error) { return in, nil }); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "step", kind, dir)
	cmd.Env = append(os.Environ(), "PATH="+p.bin, docker.HostVar+"="+p.engine.Host)
	out, _ := cmd.CombinedOutput()
	result, wrote, err := job.ReadResult(dir)
	if err != nil || !wrote {
		p.t.Fatalf("%s left no result: %v: %s", kind, err, out)
	}
	var d Deployed
	if result.Data != nil {
		if err := json.Unmarshal(result.Data, &d); err != nil {
			p.t.Error(err)
		}
	}
	return result, d
}

func (p *place) ok(kind string) Deployed {
	p.t.Helper()
	result, d := p.job(kind)
	if result.Class != store.StepOK {
		p.t.Fatalf("%s: %s: %s", kind, result.Class, result.Detail)
	}
	return d
}

func (p *place) fails(kind, words string) {
	p.t.Helper()
	result, _ := p.job(kind)
	if result.Class != store.StepFailed || !strings.Contains(result.Detail, words) {
		p.t.Errorf("%s: %s: %s\nwant …%s", kind, result.Class, result.Detail, words)
	}
}

// serves checks that the container runs, that the build context has the model, and that the old model has the old
// image.
func (p *place) serves(container, model string) {
	p.t.Helper()
	c, ok := p.engine.Get(container)
	if !ok || c.State != "running" {
		p.t.Errorf("container %s: %+v", container, c)
	}
	b, err := os.ReadFile(filepath.Join(p.dir, "models", "model.pkl"))
	if err != nil || string(b) != model {
		p.t.Errorf("the build context has the model %q: %v", b, err)
	}
	if model == "old" && c.Image != oldImage {
		p.t.Errorf("the image is %s", c.Image)
	}
}

func TestDeployAndBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.ok("deploy")
	p.serves(d.Container, "new")
	if d.Container == "c0" || d.Image == oldImage || d.Project != "shop" || d.Started.IsZero() {
		t.Errorf("%+v", d)
	}
	calls := p.engine.Calls()
	// A repeated deployment uses its trace: nothing is built or replaced again.
	if again := p.ok("deploy"); again.Container != d.Container {
		t.Errorf("exchanged twice: %+v", again)
	}
	if now := p.engine.Calls(); len(now) != len(calls) {
		t.Errorf("asked for %q, then for %q", calls, now)
	}

	back := p.ok("back")
	p.serves(back.Container, "old")
	if again := p.ok("back"); again.Container != back.Container {
		t.Errorf("rolled back twice: %+v", again)
	}
	p.serves(back.Container, "old")
}

// If a deployment fails before the container is replaced, a rollback leaves the container running.
func TestFailures(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("fail-build", "")
	p.fails("deploy", "COPY failed")
	if d := p.ok("back"); d.Container != "" {
		t.Errorf("something was exchanged: %+v", d)
	}
	p.serves("c0", "old")
	for _, call := range p.engine.Calls() {
		if strings.HasPrefix(call, "/fake/up") {
			t.Error("the container was exchanged")
		}
	}

	p = newPlace(t)
	p.write("fail-run", "")
	p.fails("deploy", "ended with exit status 3: no such model")
	p.serves(p.ok("back").Container, "old")
}

// If the former image was removed, the rollback fails with an error that says so.
func TestFormerImageGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ok("deploy")
	kept := "retraind/shop-api:" + Tag(p.in.Former.Digest)
	if err := p.client().Untag(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	p.fails("back", "the image of release")
}

func (p *place) client() *docker.Client {
	p.t.Helper()
	c, err := docker.New(p.engine.Host)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(c.Close)
	return c
}

// Days later another run rolls the release back. It has another trace, but finds the image and the files by release.
func TestBackAfterDays(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.ok("deploy")
	p.in.Trace, p.in.Always = filepath.Join(filepath.Dir(filepath.Dir(p.in.Trace)), "run2", "compose.json"), true
	back := p.ok("back")
	if back.Container == d.Container {
		t.Error("nothing was exchanged")
	}
	p.serves(back.Container, "old")

	// A third run deploys the release again from the release's files, as redeploy does.
	p.in.Trace = filepath.Join(filepath.Dir(filepath.Dir(p.in.Trace)), "run3", "compose.json")
	p.in.Former, p.in.Candidate = p.in.Candidate, Release{}
	p.serves(p.ok("back").Container, "new")
}

func TestNothingServedBefore(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if err := p.client().Remove(t.Context(), "c0"); err != nil {
		t.Fatal(err)
	}
	p.in.Former = Release{}
	if err := p.in.Service.Keep(p.in.Kept, "", ""); err != nil {
		t.Fatal(err)
	}
	d := p.ok("deploy")
	p.ok("back")
	if c, there := p.engine.Get(d.Container); there {
		t.Errorf("the candidate's container is still there: %+v", c)
	}
}

// For each fault of the configuration or the machine, the error has the place and the remedy, and the container keeps
// running.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, words string
		breaks      func(*place)
	}{
		{"no directory", "is not a directory: correct dir", func(p *place) { p.in.Service.Dir += "/gone" }},
		{"another service", `has no service "web", it has api`, func(p *place) { p.in.Service.Name = "web" }},
		{"a moved file", "was brought up from", func(p *place) {
			c := p.container("c0")
			c.Labels[docker.LabelFiles] = filepath.Join(p.dir, "old.yml")
			p.engine.Put(c)
		}},
		{"a missing file", "prod.yml is missing", func(p *place) { p.in.Service.Files = []string{"prod.yml"} }},
		{"two containers", "2 containers of service api run", func(p *place) { p.engine.Put(p.container("c1")) }},
		{"the project's name elsewhere", "the project name shop is also used in /srv/other, by container", func(p *place) {
			c := p.container("c1")
			c.Labels[docker.LabelDir] = "/srv/other"
			p.engine.Put(c)
		}},
		{"the engine away", "the Docker engine does not answer", func(p *place) { p.engine.End() }},
		{"an old engine", "upgrade Docker to 20.10 or newer", func(p *place) { p.engine.Speak("1.39") }},
		{"no compose", "docker-compose is not in PATH", func(p *place) { p.bin += "/gone" }},
		{"nothing to build", "has no build section", func(p *place) {
			p.write("docker-compose.yml", `{"services": {"api": {"image": "shop-api"}}}`)
		}},
		{"a broken file", "docker-compose config: exit status 1", func(p *place) { p.write("docker-compose.yml", "{") }},
		{"a link", "a symbolic link exists at this path", func(p *place) {
			p.link("models/model.pkl", "/etc/passwd")
		}},
		{"a release without the file", "no such file", func(p *place) { p.in.Candidate.Dir = p.dir }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			c.breaks(p)
			p.fails("deploy", c.words)
			if got, ok := p.engine.Get("c0"); !ok || got.State != "running" {
				t.Errorf("the container is %+v", got)
			}
		})
	}
}

func (p *place) link(name, to string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.Remove(path); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		p.t.Fatal(err)
	}
}

// If the new container never becomes healthy, the deployment fails after Within.
func TestNeverHealthy(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.in.Service.Within = 300 * time.Millisecond
	p.in.Health = "http://127.0.0.1:1/health"
	p.fails("deploy", "is not healthy after 300ms: ")
	p.in.Health, p.in.Service.Within = "", waittest.Patience
	p.serves(p.ok("back").Container, "old")
}
