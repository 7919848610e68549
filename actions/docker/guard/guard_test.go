package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/docker/guard"
	"github.com/retraind/retraind/internal/dockertest"
)

// world is a client of the socket of a Guard or of an engine.
type world struct {
	t      *testing.T
	host   string
	client *http.Client
}

func guarded(t *testing.T, config guard.Config) *world {
	t.Helper()
	config.Log = slog.New(slog.DiscardHandler)
	g, err := guard.New(config)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "guard") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- g.Serve(ctx, l) }()
	w := dial(t, path)
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		w.client.CloseIdleConnections()
		_ = os.RemoveAll(dir)
	})
	return w
}

// dial returns a client for a socket.
func dial(t *testing.T, path string) *world {
	return &world{t: t, host: "unix://" + path, client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // the guard may answer before it has read the whole body
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}}
}

// send sends a request and returns status and answer.
func (w *world) send(method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://docker/", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Opaque = "//docker" + path // keeps the exact spelling of the path
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func labels(dir string) map[string]string {
	return map[string]string{docker.LabelProject: "suite", docker.LabelService: "api", docker.LabelDir: dir}
}

// The conformance test of package docker also passes through a guard.
func TestSuite(t *testing.T) {
	t.Parallel()
	e := dockertest.Start(t)
	e.Put(dockertest.Container{
		ID: "c1", Name: "suite-api-1", Image: "sha256:1", ImageName: "suite-api", State: "running", Restart: "unless-stopped",
		Started: time.Now().Add(-time.Hour), Network: "none", Labels: labels("/srv/suite"), Output: "ready\n",
	})
	e.Put(dockertest.Container{ID: "c2", Name: "other", Image: "sha256:2", ImageName: "other", State: "running"})
	w := guarded(t, guard.Config{
		Engine: e.Host, UID: uint32(os.Getuid()), State: t.TempDir(), Services: []guard.Service{{Dir: "/srv/suite", Name: "api"}},
	})
	c, err := docker.New(w.host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dockertest.Suite(t, dockertest.Subject{Client: c, Project: "suite", Service: "api", Image: "suite-api"})
	if err := c.Stop(t.Context(), "c2", time.Second); err == nil || !strings.Contains(err.Error(), "none of the configured services") {
		t.Errorf("another container is stopped: %v", err)
	}
	if now, _ := e.Get("c2"); now.State != "running" {
		t.Error("another container was stopped")
	}
}

// Users other than the configured one are refused.
func TestOnlyTheUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root is always let in; internal/systemdtest has other users")
	}
	w := guarded(t, guard.Config{Engine: "unix:///nowhere", UID: uint32(os.Getuid()) + 1})
	if status, said := w.send(http.MethodGet, "/_ping", ""); status != http.StatusForbidden {
		t.Errorf("%d %s", status, said)
	}
}

// recorder is a fake engine with one container. It records the requests.
type recorder struct {
	present string // JSON of the container, with %s for its labels
	mu      sync.Mutex
	calls   []string
}

const present = `{"Id": "c1", "Image": "sha256:1", "State": {"Status": "running"}, "Config": {"Image": "suite-api", "Labels": %s},
	"HostConfig": {"Binds": ["/srv/models:/models:ro", "data:/data:rw"], "NetworkMode": "suite_default", "Privileged": false,
		"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8082"}]}, "ShmSize": 67108864, "IpcMode": "private",
		"CapDrop": ["ALL"], "Runtime": "runc", "MaskedPaths": ["/proc/kcore"], "RestartPolicy": {"Name": "always"}},
	"Mounts": [{"Type": "volume", "Name": "data", "Destination": "/data"}, {"Type": "volume", "Name": "0123", "Destination": "/cache"}],
	"NetworkSettings": {"Networks": {"suite_default": {}}}}`

func (e *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	list, _ := json.Marshal(labels("/srv/suite"))
	switch path := strings.TrimPrefix(r.URL.Path, "/v1.41"); {
	case r.Method == http.MethodGet && path == "/containers/c1/json":
		fmt.Fprintf(w, e.present, list)
	case r.Method == http.MethodGet && path == "/containers/json":
		fmt.Fprintf(w, `[{"Id": "c1", "Labels": %s}]`, list)
	case r.Method == http.MethodGet && path == "/images/suite-api/json":
		fmt.Fprint(w, `{"Id": "sha256:1", "RepoTags": ["suite-api:latest"]}`)
	case r.Method == http.MethodGet && path == "/images/other/json":
		fmt.Fprint(w, `{"Id": "sha256:2", "RepoTags": ["other:latest"]}`)
	case r.Method == http.MethodGet && path == "/networks/suite_default":
		fmt.Fprint(w, `{"Name": "suite_default"}`)
	case r.Method == http.MethodGet && path == "/networks/other":
		fmt.Fprint(w, `{"Name": "other"}`)
	case r.Method == http.MethodGet && path == "/containers/other/json":
		w.WriteHeader(http.StatusNotFound)
	default:
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.calls = append(e.calls, r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type")+" "+string(body))
		e.mu.Unlock()
		fmt.Fprint(w, "{}")
	}
}

func (e *recorder) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := strings.Join(e.calls, "\n")
	e.calls = nil
	return calls
}

func recorded(t *testing.T) (*world, *recorder) {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	e := &recorder{present: present}
	server := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	go server.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(func() {
		_ = server.Close()
		_ = os.RemoveAll(dir)
	})
	return guarded(t, guard.Config{
		Engine: "unix://" + filepath.Join(dir, "s"), UID: uint32(os.Getuid()),
		Services: []guard.Service{{Dir: "/srv/suite", Name: "api"}},
	}), e
}

func TestRequests(t *testing.T) {
	t.Parallel()
	w, e := recorded(t)
	for _, c := range []struct{ method, path, body, reaches string }{
		{"GET", "/v1.41/_ping", "", "GET /v1.41/_ping"},
		{"POST", "/v1.41/containers/c1/start", `{"Privileged": true}`, "POST /v1.41/containers/c1/start"},
		{"POST", "/containers/c1/stop?t=10", "", "POST /containers/c1/stop?t=10"},
		{"DELETE", "/v1.41/containers/c1?link=False&force=True&v=False", "", "DELETE /v1.41/containers/c1?force=True&link=False&v=False"},
		{"POST", "/v1.41/images/suite-api/tag?repo=retraind/suite-api&tag=first", "repo=x", "POST /v1.41/images/suite-api/tag?repo=retraind%2Fsuite-api&tag=first"},
		{"DELETE", "/v1.41/images/retraind/suite-api:first", "", "DELETE /v1.41/images/retraind/suite-api:first"},
		{"POST", "/v1.41/networks/suite_default/connect", `{"Container": "c1"}`, `POST /v1.41/networks/suite_default/connect application/json {"Container":"c1"}`},
		{"POST", "/v1.41/build?t=suite-api&rm=1", "tar", "POST /v1.41/build?rm=1&t=suite-api application/x-tar tar"},
		// These are refused:
		{"POST", "/v1.23/containers/c1/start", "", ""},
		{"POST", "/v1.41/containers/c1/exec", `{"Cmd": ["sh"]}`, ""},
		{"POST", "/v1.41/containers/c1/attach", "", ""},
		{"GET", "/v1.41/containers/c1/archive?path=/", "", ""},
		{"POST", "/v1.41/containers/c1/update", "{}", ""},
		{"POST", "/v1.41/containers/c1%2fstart", "", ""},
		{"POST", "/v1.41/containers/../containers/c1/start", "", ""},
		{"POST", "/v1.41//containers/c1/start", "", ""},
		{"POST", "/v1.41/images/other/tag?repo=retraind/suite-api&tag=x", "", ""},
		{"POST", "/v1.41/images/suite-api/tag?repo=other&tag=x", "", ""},
		{"POST", "/v1.41/images/a/../../containers/c1/tag?repo=retraind/suite-api&tag=x", "", ""},
		{"DELETE", "/v1.41/images/suite-api", "", ""},
		{"POST", "/v1.41/images/create?fromImage=debian", "", ""},
		{"POST", "/v1.41/networks/other/connect", `{"Container": "c1"}`, ""},
		{"POST", "/v1.41/networks/suite_default/connect", `{"Container": "c1", "container": "x"}`, ""},
		{"POST", "/v1.41/networks/create", `{"Name": "x"}`, ""},
		{"POST", "/v1.41/volumes/create", `{"Name": "x", "DriverOpts": {"device": "/"}}`, ""},
		{"POST", "/v1.41/build?t=other", "tar", ""},
		{"POST", "/v1.41/build?t=suite-api&t=other", "tar", ""},
		{"POST", "/v1.41/build?rm=1", "tar", ""},
		{"POST", "/v1.41/build?t=suite-api&networkmode=host", "tar", ""},
		{"POST", "/v1.41/build?t=suite-api&remote=http://x", "tar", ""},
		{"POST", "/v1.41/build?t=suite-api&version=2", "tar", ""},
		{"POST", "/v1.41/build?t=suite-api&securityopt=seccomp=unconfined", "tar", ""},
		{"POST", "/session", "", ""},
		{"POST", "/grpc", "", ""},
		{"POST", "/v1.41/swarm/init", "{}", ""},
		{"GET", "/v1.41/secrets", "", ""},
		{"GET", "/v1.41/events", "", ""},
	} {
		status, said := w.send(c.method, c.path, c.body, "Content-Type", "application/x-www-form-urlencoded")
		if got := strings.TrimSpace(e.take()); strings.Join(strings.Fields(got), " ") != c.reaches {
			t.Errorf("%s %s: the engine got %q, want %q (%d %s)", c.method, c.path, got, c.reaches, status, said)
		}
		if want := c.reaches != ""; want != (status == http.StatusOK) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, said)
		}
	}
}

// Rights that could not be stored are stored with the next request.
func TestRightsAreStoredLater(t *testing.T) {
	t.Parallel()
	e := dockertest.Start(t)
	e.Put(dockertest.Container{
		ID: "c1", Name: "suite-api-1", Image: "sha256:1", ImageName: "suite-api", State: "running", Labels: labels("/srv/suite"),
	})
	state := filepath.Join(t.TempDir(), "state")
	w := guarded(t, guard.Config{
		Engine: e.Host, UID: uint32(os.Getuid()), State: state, Services: []guard.Service{{Dir: "/srv/suite", Name: "api"}},
	})
	for _, want := range []int{0, 1} {
		if status, said := w.send(http.MethodGet, "/v1.41/containers/c1/json", ""); status != http.StatusOK {
			t.Fatalf("%d %s", status, said)
		}
		if files, _ := os.ReadDir(state); len(files) != want {
			t.Errorf("stored: %v, want %d", files, want)
		}
		if err := os.MkdirAll(state, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
