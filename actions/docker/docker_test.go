package docker_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/dockertest"
)

func client(t *testing.T, host string) *docker.Client {
	t.Helper()
	c, err := docker.New(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func api(id string) dockertest.Container {
	return dockertest.Container{
		ID: id, Name: "shop_api_1", Image: "sha256:aaaa", ImageName: "shop_api", State: "running",
		Labels:  map[string]string{docker.LabelProject: "shop", docker.LabelService: "api", docker.LabelOneOff: "False"},
		Restart: "unless-stopped", Started: time.Now().Add(-time.Hour), Output: "ready\n", Network: "shop_default",
		Address: "172.18.0.2", Ports: map[int]int{8080: 8082},
	}
}

func TestFakeIsLikeAnEngine(t *testing.T) {
	t.Parallel()
	e := dockertest.Start(t)
	e.Put(api("c1"))
	dockertest.Suite(t, dockertest.Subject{Client: client(t, e.Host), Project: "shop", Service: "api", Image: "shop_api"})
}

func TestContainer(t *testing.T) {
	t.Parallel()
	e := dockertest.Start(t)
	sick := api("c1")
	sick.Health, sick.HealthSaid = "unhealthy", "connection refused\n"
	e.Put(sick)
	once := api("c2")
	once.Labels = map[string]string{docker.LabelProject: "shop", docker.LabelService: "api", docker.LabelOneOff: "True"}
	e.Put(once)
	list, err := client(t, e.Host).Containers(t.Context(), "shop", "api")
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	c := list[0]
	if c.Health != docker.Unhealthy || c.HealthSaid != "connection refused" || len(c.Ports) != 1 ||
		c.Ports[0] != (docker.Port{Container: 8080, Host: 8082}) || len(c.Addresses) != 1 || c.Name != "shop_api_1" {
		t.Errorf("%+v", c)
	}
}

// Each failure has its kind and a message with a remedy.
func TestErrors(t *testing.T) {
	t.Parallel()
	said := func(what string, err, kind error, words string) {
		t.Helper()
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", what, err)
		}
	}
	e := dockertest.Start(t)
	c := client(t, e.Host)
	e.Speak("1.39")
	said("an old engine", c.Ping(t.Context()), docker.ErrTooOld, "upgrade Docker to 20.10 or newer")
	e.Speak("1.60") // newer than the client: the client uses its own newest version, which the fake engine refuses
	_, err := c.Container(t.Context(), "c1")
	said("a new engine", err, docker.ErrAnswer, "client version 1.51")
	e.Speak("1.41")
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	e.End()
	_, err = c.Container(t.Context(), "c1")
	said("away", err, docker.ErrAway, "systemctl start docker")
	e.Begin()
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("it is back: %v", err)
	}
	e.Deny()
	said("a helper that refuses", c.Start(t.Context(), "c1"), docker.ErrDenied, "not one of the configured projects")
	_, err = docker.New("tcp://10.0.0.1:2375")
	said("an engine elsewhere", err, docker.ErrAway, "only an engine on this machine")
	if os.Getuid() == 0 {
		return // root may use every socket
	}
	if err := os.Chmod(strings.TrimPrefix(e.Host, "unix://"), 0); err != nil {
		t.Fatal(err)
	}
	said("no right", c.Ping(t.Context()), docker.ErrDenied, "socket's group")
}

// After an engine was replaced by an older one, the client negotiates the version again.
func TestOlderEngine(t *testing.T) {
	t.Parallel()
	e := dockertest.Start(t)
	e.Put(api("c1"))
	c := client(t, e.Host)
	e.Speak("1.45")
	if _, err := c.Container(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	e.Speak("1.41")
	if _, err := c.Container(t.Context(), "c1"); !errors.Is(err, docker.ErrAnswer) {
		t.Errorf("the first request: %v", err)
	}
	if _, err := c.Container(t.Context(), "c1"); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

func TestSplitName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"api": {"api", "latest"}, "api:v1": {"api", "v1"}, "host:5000/api": {"host:5000/api", "latest"},
		"host:5000/api:v1": {"host:5000/api", "v1"},
	} {
		if repo, tag := docker.SplitName(name); repo != want[0] || tag != want[1] {
			t.Errorf("%s: %s %s", name, repo, tag)
		}
	}
}
