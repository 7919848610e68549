//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"testing"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/dockertest"
)

// The conformance suite of package docker passes on a real engine, with the labels of compose.
func TestEngineSuite(t *testing.T) {
	e := startEngine(t)
	up := exec.Command("sh", "-ec", "docker-compose --project-name suite build --quiet && docker-compose --project-name suite up -d")
	up.Dir, up.Env = "testdata/suite", append(os.Environ(), "DOCKER_HOST="+e.host, "DOCKER_BUILDKIT=0")
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c, err := docker.New(e.host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dockertest.Suite(t, dockertest.Subject{Client: c, Project: "suite", Service: "api", Image: "suite-api"})
}
