package predict

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/dockertest"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// TestMain lets the test binary also run as the job and as compose's command line.
func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "docker-compose":
		os.Exit(dockertest.Compose(os.Args[1:]))
	case len(os.Args) == 4 && os.Args[1] == "step":
		if err := job.Run(context.Background(), map[string]job.Work{"predict": Work}, os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// beside is a docker compose service with a candidate that answers at a port of this machine.
type beside struct {
	t      *testing.T
	engine *dockertest.Engine
	root   string
	in     Input
}

func newBeside(t *testing.T) *beside {
	t.Helper()
	b := &beside{t: t, engine: dockertest.Start(t), root: t.TempDir()}
	candidate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var fields map[string]string
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
				t.Error(err)
			}
		}
		fmt.Fprintf(w, `{"label": "about %s", "urgent": true, "topics": ["b", "a"]}`, fields["title"])
	}))
	t.Cleanup(candidate.Close)
	at, err := url.Parse(candidate.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	b.engine.Answer(port)
	dir := filepath.Join(b.root, "shop")
	b.engine.Put(dockertest.Container{
		ID: "c0", Name: "shop_api_1", Image: "sha256:01d0", ImageName: "shop-api", State: "running", Started: time.Now(),
		Ports: map[int]int{8080: 8082},
		Labels: map[string]string{
			docker.LabelProject: "shop", docker.LabelService: "api", docker.LabelDir: dir,
			docker.LabelFiles: filepath.Join(dir, "docker-compose.yml"),
		},
	})
	b.write("shop/docker-compose.yml", dockertest.ComposeFile("api", "shop-api"))
	b.write("release/model.pkl", "new")
	b.write("items.jsonl", `{"id":"1","text_hash":"h1","text":{"title":"rain"}}`+"\n"+`{"id":"2","text_hash":"h2","text":{"title":"sun"}}`+"\n")
	b.in = Input{
		Serving: serving.Config{
			Classify: "http://127.0.0.1:8082/classify", Gate: "label",
			Targets: map[string]serving.Target{"label": {}, "urgent": {Kind: serving.KindBool}, "topics": {Kind: serving.KindSet}},
		},
		Compose: &compose.Input{
			Service: compose.Service{
				Dir: dir, Name: "api", Build: true, Place: map[string]string{"model.pkl": "model.pkl"}, Within: 3 * time.Second,
			},
			Health: "http://127.0.0.1:8082/health", Trace: filepath.Join(b.root, "compose.json"), Kept: filepath.Join(b.root, "kept"),
			Candidate: compose.Release{Digest: "sha256:0123456789abcdef", Dir: filepath.Join(b.root, "release")},
		},
		Beside: compose.Beside{Name: "retraind-run1-predict", Asked: "http://127.0.0.1:8082/classify"},
		Items:  filepath.Join(b.root, "items.jsonl"), Out: filepath.Join(b.root, "predictions.jsonl"),
	}
	return b
}

func (b *beside) write(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.root, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *beside) run() job.Result {
	b.t.Helper()
	dir := b.t.TempDir()
	if err := job.Prepare(dir, func() (any, error) { return b.in, nil }); err != nil {
		b.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	bin := b.t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "docker-compose")); err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(self, "step", "predict", dir)
	cmd.Env = append(os.Environ(), "PATH="+bin, docker.HostVar+"="+b.engine.Host)
	out, _ := cmd.CombinedOutput()
	result, wrote, err := job.ReadResult(dir)
	if err != nil || !wrote {
		b.t.Fatalf("no result: %v: %s", err, out)
	}
	return result
}

// A container of the candidate's image answers and is then removed. The service's container and the name of its image
// are unchanged.
func TestAskedBeside(t *testing.T) {
	t.Parallel()
	b := newBeside(t)
	for range 2 { // the second attempt does the same
		if r := b.run(); r.Class != store.StepOK || r.Detail != "the candidate answered 2 held-out items" {
			t.Fatalf("%+v", r)
		}
	}
	got, err := os.ReadFile(b.in.Out)
	want := `{"id":"1","text_hash":"h1","answers":{"label":"about rain","topics":["a","b"],"urgent":true}}
{"id":"2","text_hash":"h2","answers":{"label":"about sun","topics":["a","b"],"urgent":true}}
`
	if err != nil || string(got) != want {
		t.Errorf("%v: %s", err, got)
	}
	if c, ok := b.engine.Get("c0"); !ok || c.State != "running" {
		t.Errorf("the service is %+v", c)
	}
	if c, there := b.engine.Get(b.in.Beside.Name); there {
		t.Errorf("the candidate's container is still there: %+v", c)
	}
	builds := 0
	for _, call := range b.engine.Calls() {
		if strings.HasPrefix(call, "/fake/build") {
			builds++
		}
		if strings.HasPrefix(call, "/fake/up") {
			t.Error("the service was exchanged")
		}
	}
	if builds != 1 {
		t.Errorf("%d builds", builds)
	}
}

func TestAskedBesideProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, words string
		breaks      func(*beside)
	}{
		{"an image that ends", "ended with exit status 3: no such model", func(b *beside) { b.write("shop/fail-run", "") }},
		{"no build", "COPY failed", func(b *beside) { b.write("shop/fail-build", "") }},
		{"another port", "add port: to the step predict", func(b *beside) { b.in.Beside.Asked = "http://127.0.0.1:9/classify" }},
		{"the host's network", "add env: {PORT: $RETRAIND_PORT}", func(b *beside) {
			c, _ := b.engine.Get("c0")
			c.Network = "host"
			b.engine.Put(c)
		}},
		{"nobody answers", "does not answer after 3s", func(b *beside) { b.engine.Answer(1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBeside(t)
			c.breaks(b)
			if r := b.run(); r.Class != store.StepFailed || !strings.Contains(r.Detail, c.words) {
				t.Errorf("%s: %s\nwant …%s", r.Class, r.Detail, c.words)
			}
			if c, there := b.engine.Get(b.in.Beside.Name); there {
				t.Errorf("the candidate's container is still there: %+v", c)
			}
			if _, err := os.Stat(b.in.Out); err == nil {
				t.Error("answers were written")
			}
		})
	}
}
