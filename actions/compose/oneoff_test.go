package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/actions/docker"
)

// The values of a one-off container's variables are in no command line, which every user of the machine can read and which
// the step's output shows.
func TestVariablesAreNotShown(t *testing.T) {
	t.Parallel()
	d := &deployment{site: &site{Service: Service{Name: "api"}}}
	b := Beside{Name: "x", Port: 8000, Env: map[string]string{"TOKEN": "geheim$5", "LISTEN": ":$RETRAIND_PORT"}}
	args, env, port, err := d.besides(b)
	if err != nil || port != 8000 || strings.Contains(strings.Join(args, " "), "geheim") {
		t.Fatalf("%q, %d, %v", args, port, err)
	}
	dir := t.TempDir()
	c, err := cli{v1: true}.withImage(dir, "api", "api:1", env)
	if err != nil || len(c.files) != 1 || filepath.Dir(c.files[0]) != dir {
		t.Fatalf("%+v, %v", c, err)
	}
	text, err := os.ReadFile(c.files[0])
	want := `{"services":{"api":{"environment":{"LISTEN":":8000","TOKEN":"geheim$$5"},"image":"api:1"}}}` // $$ means $ there
	if err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
	if info, err := os.Stat(c.files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
}

// The port of a URL without one is that of its scheme.
func TestInside(t *testing.T) {
	t.Parallel()
	ports := []docker.Port{{Container: 8000, Host: 80}, {Container: 8443, Host: 443}}
	d := &deployment{site: &site{now: &docker.Container{Ports: ports}}}
	for url, want := range map[string]int{
		"http://localhost/classify": 8000, "http://localhost:80/classify": 8000, "https://localhost/": 8443,
		"http://localhost:81/": 0,
	} {
		if got, err := d.inside(url); got != want || (err != nil) != (want == 0) {
			t.Errorf("%s: %d, %v", url, got, err)
		}
	}
}
