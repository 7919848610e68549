// Package dockertest provides a fake Docker engine on a unix socket, for tests.
//
// An Engine answers the requests of package docker from the containers and images that a test puts into it, and Compose
// stands in for docker compose. Suite checks that the fake and a real engine behave alike. An Engine is safe for
// concurrent use. No container ever runs in it. The package is never linked into the program.
package dockertest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
)

// Container is one container of the simulated engine.
type Container struct {
	ID, Name, Image, ImageName string
	Labels                     map[string]string
	State                      string
	Exit                       int
	Health                     string // "" without a health check
	HealthSaid                 string
	Restart                    string
	Started                    time.Time
	Network, Address           string
	Ports                      map[int]int // published ports, by port in the container
	Output                     string
	AutoRemove                 bool
}

// Engine is the simulated engine.
type Engine struct {
	Host string // value for DOCKER_HOST

	t  *testing.T
	mu sync.Mutex
	// mu guards the fields below.
	api        string
	deny       bool
	containers []*Container
	images     map[string][]string // names by id
	answers    int                 // port of this machine at which one-off containers answer
	created    int                 // containers that compose created
	calls      []string            // requests that change something: "METHOD path", and "/fake/VERB image" for compose
	server     *http.Server
}

// Start starts an engine without containers.
func Start(t *testing.T) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &Engine{Host: "unix://" + filepath.Join(dir, "s"), t: t, api: "1.41", images: map[string][]string{}}
	e.Begin()
	t.Cleanup(e.End)
	return e
}

// Begin starts listening. End makes the engine unreachable.
func (e *Engine) Begin() {
	e.t.Helper()
	l, err := net.Listen("unix", strings.TrimPrefix(e.Host, "unix://"))
	if err != nil {
		e.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(e.serve), ReadHeaderTimeout: time.Minute}
	e.mu.Lock()
	e.server = server
	e.mu.Unlock()
	go server.Serve(l) //nolint:errcheck // it ends with the engine
}

// End stops the engine and closes every connection.
func (e *Engine) End() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		_ = e.server.Close()
		e.server = nil
	}
}

// Speak sets the API version that the engine announces and accepts.
func (e *Engine) Speak(version string) { e.locked(func() { e.api = version }) }

// Answer sets the port of this machine at which the containers of `compose run` answer.
func (e *Engine) Answer(port int) { e.locked(func() { e.answers = port }) }

// Deny makes the engine refuse every request except pings, as actions/docker/guard does for unconfigured services.
func (e *Engine) Deny() { e.locked(func() { e.deny = true }) }

// Calls returns the requests that change something, in order.
func (e *Engine) Calls() (out []string) {
	e.locked(func() { out = append(out, e.calls...) })
	return out
}

func (e *Engine) locked(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

// Put adds or replaces a container, and its image.
func (e *Engine) Put(c Container) {
	e.locked(func() {
		if _, known := e.images[c.Image]; !known && c.Image != "" {
			e.name(c.Image, c.ImageName)
		}
		if have := e.find(c.ID); have != nil {
			*have = c
			return
		}
		e.containers = append(e.containers, &c)
	})
}

// Get returns a container by its id.
func (e *Engine) Get(id string) (c Container, ok bool) {
	e.locked(func() {
		if have := e.find(id); have != nil {
			c, ok = *have, true
		}
	})
	return c, ok
}

// Image adds names to an image.
func (e *Engine) Image(id string, names ...string) {
	e.locked(func() {
		for _, name := range names {
			e.name(id, name)
		}
	})
}

// name moves a name to an image. The caller holds the lock.
func (e *Engine) name(id, name string) {
	e.unname(name)
	e.images[id] = append(e.images[id], full(name))
}

// full returns an image's name with its tag.
func full(name string) string {
	repo, tag := docker.SplitName(name)
	return repo + ":" + tag
}

func (e *Engine) unname(name string) {
	for id, names := range e.images {
		e.images[id] = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == full(name) })
	}
}

// imageOf finds an image by id or name.
func (e *Engine) imageOf(ref string) (string, bool) {
	if _, ok := e.images[ref]; ok {
		return ref, true
	}
	for id, names := range e.images {
		if slices.Contains(names, full(ref)) {
			return id, true
		}
	}
	return "", false
}

func (e *Engine) find(id string) *Container {
	for _, c := range e.containers {
		if c.ID == id || c.Name == id {
			return c
		}
	}
	return nil
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.URL.Path == "/_ping" {
		w.Header().Set("Api-Version", e.api)
		fmt.Fprint(w, "OK")
		return
	}
	if strings.HasPrefix(r.URL.Path, "/fake/") {
		e.composed(w, r)
		return
	}
	version, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v"), "/")
	switch {
	case e.deny:
		fail(w, http.StatusForbidden, "not one of the configured projects")
		return
	case version != e.api:
		fail(w, http.StatusBadRequest, "client version "+version+" is not "+e.api)
		return
	}
	if r.Method != http.MethodGet {
		e.calls = append(e.calls, r.Method+" /"+path)
	}
	kind, rest, _ := strings.Cut(path, "/")
	switch kind {
	case "containers":
		e.container(w, r, rest)
	case "images":
		e.image(w, r, rest)
	default:
		fail(w, http.StatusNotFound, "page not found")
	}
}

func (e *Engine) container(w http.ResponseWriter, r *http.Request, rest string) {
	if rest == "json" {
		e.list(w, r)
		return
	}
	id, what, _ := strings.Cut(rest, "/")
	c := e.find(id)
	if c == nil {
		fail(w, http.StatusNotFound, "No such container: "+id)
		return
	}
	switch {
	case r.Method == http.MethodDelete:
		for i := range e.containers {
			if e.containers[i] == c {
				e.containers = append(e.containers[:i:i], e.containers[i+1:]...)
				break
			}
		}
		w.WriteHeader(http.StatusNoContent)
	case what == "json":
		answer(w, c.inspected())
	case what == "logs":
		frame := binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(c.Output)))
		_, _ = w.Write(append(frame, c.Output...))
	case what == "stop" && c.State != "running", what == "start" && c.State == "running":
		w.WriteHeader(http.StatusNotModified)
	case what == "stop":
		c.State = "exited"
		w.WriteHeader(http.StatusNoContent)
	case what == "start":
		c.State, c.Started = "running", time.Now().UTC()
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusNotFound, "page not found")
	}
}

func (e *Engine) list(w http.ResponseWriter, r *http.Request) {
	var filters struct{ Label []string }
	if err := json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	list := []any{}
	for _, c := range e.containers {
		fits := true
		for _, want := range filters.Label {
			key, value, _ := strings.Cut(want, "=")
			fits = fits && c.Labels[key] == value
		}
		if fits {
			list = append(list, map[string]any{"Id": c.ID, "Labels": c.Labels, "Created": c.Started.Unix()})
		}
	}
	answer(w, list)
}

func (c *Container) inspected() any {
	ports := map[string]any{}
	for inside, outside := range c.Ports {
		ports[fmt.Sprintf("%d/tcp", inside)] = []map[string]string{{"HostIp": "0.0.0.0", "HostPort": fmt.Sprint(outside)}}
	}
	state := map[string]any{"Status": c.State, "ExitCode": c.Exit, "StartedAt": c.Started.Format(time.RFC3339Nano)}
	if c.Health != "" {
		state["Health"] = map[string]any{"Status": c.Health, "Log": []map[string]string{{"Output": c.HealthSaid}}}
	}
	return map[string]any{
		"Id": c.ID, "Name": "/" + c.Name, "Image": c.Image, "State": state,
		"Config": map[string]any{"Image": c.ImageName, "Labels": c.Labels},
		"HostConfig": map[string]any{
			"NetworkMode": c.Network, "RestartPolicy": map[string]string{"Name": c.Restart}, "AutoRemove": c.AutoRemove,
		},
		"NetworkSettings": map[string]any{
			"Ports": ports, "Networks": map[string]any{c.Network: map[string]string{"IPAddress": c.Address}},
		},
	}
}

func (e *Engine) image(w http.ResponseWriter, r *http.Request, rest string) {
	if rest == "json" {
		var filters struct{ Reference []string }
		_ = json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
		list := []any{}
		for id, names := range e.images {
			list = append(list, map[string]any{"Id": id, "RepoTags": names})
		}
		answer(w, list)
		return
	}
	name := strings.TrimSuffix(strings.TrimSuffix(rest, "/json"), "/tag")
	id, ok := e.imageOf(name)
	if !ok {
		fail(w, http.StatusNotFound, "No such image: "+name)
		return
	}
	switch {
	case r.Method == http.MethodDelete:
		e.unname(name)
		if len(e.images[id]) == 0 {
			delete(e.images, id)
		}
		answer(w, []any{})
	case strings.HasSuffix(rest, "/tag"):
		e.name(id, r.URL.Query().Get("repo")+":"+r.URL.Query().Get("tag"))
		w.WriteHeader(http.StatusCreated)
	default:
		answer(w, map[string]any{"Id": id, "RepoTags": e.images[id], "Size": 1 << 20})
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	answer(w, map[string]string{"message": message})
}
