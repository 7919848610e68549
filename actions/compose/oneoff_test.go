package compose

import (
	"testing"

	"github.com/retraind/retraind/actions/docker"
)

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
