//go:build faults

package compose

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/job"
)

// killed runs a job that is killed at a fault point ("": not killed), and returns the points that the job passed.
func (p *place) killed(kind, at string) []string {
	p.t.Helper()
	p.attempt++
	dir := filepath.Join(filepath.Dir(p.in.Trace), fmt.Sprint("a", p.attempt))
	if err := job.Prepare(dir, func() (any, error) { return p.in, nil }); err != nil {
		p.t.Fatal(err)
	}
	log := filepath.Join(dir, "points")
	cmd := exec.Command(os.Args[0], "step", kind, dir)
	cmd.Env = append(os.Environ(), "PATH="+p.bin, docker.HostVar+"="+p.engine.Host,
		"RETRAIND_CRASH_LOG="+log, "RETRAIND_CRASH_AT="+at)
	if out, err := cmd.CombinedOutput(); (err != nil) != (at != "") {
		p.t.Fatalf("%s killed at %q: %v: %s", kind, at, err, out)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(b), " ", "_"))
}

// A deployment that is killed at any point and then continued builds at most twice and serves the new model. One that
// is rolled back instead ends with the former image and file.
func TestKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	points := newPlace(t).killed("deploy", "")
	if len(points) < 5 {
		t.Fatalf("only %q", points)
	}
	for _, point := range points {
		at := strings.ReplaceAll(point, "_", " ")
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.killed("deploy", at)
			d := p.ok("deploy")
			p.serves(d.Container, "new")
			builds := 0
			for _, call := range p.engine.Calls() {
				if strings.HasPrefix(call, "/fake/build") {
					builds++
				}
			}
			if builds > 2 {
				t.Errorf("%d builds", builds)
			}
			p.serves(p.ok("back").Container, "old")

			p = newPlace(t)
			p.killed("deploy", at)
			id := "c0"
			if back := p.ok("back"); back.Container != "" {
				id = back.Container
			}
			p.serves(id, "old")
		})
	}

	p := newPlace(t)
	p.ok("deploy")
	back := p.killed("back", "")
	if !slices.Contains(back, "compose_returned#1") {
		t.Errorf("points %q", back)
	}
	for _, point := range back {
		at := strings.ReplaceAll(point, "_", " ")
		t.Run("back "+at, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.ok("deploy")
			p.killed("back", at)
			p.serves(p.ok("back").Container, "old")
		})
	}
}
