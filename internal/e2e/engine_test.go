//go:build e2e

package e2e

import (
	"testing"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/dockertest"
)

// The conformance test of package docker passes on a real engine, with containers that compose has labelled.
func TestEngineSuite(t *testing.T) { eachCompose(t, engineSuite) }

func engineSuite(t *testing.T, p program) {
	e := startEngine(t)
	for _, args := range [][]string{{"build", "--quiet"}, {"up", "-d"}} {
		cmd := p.command("testdata/suite", e.host, append([]string{"--project-name", "suite"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	c, err := docker.New(e.host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dockertest.Suite(t, dockertest.Subject{Client: c, Project: "suite", Service: "api", Image: "suite-api"})
}
