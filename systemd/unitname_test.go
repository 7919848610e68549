package systemd_test

import (
	"testing"

	"github.com/retraind/retraind/systemd"
)

func TestUnitName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ollama": "ollama.service", "my.app": "my.app.service", "a.service": "a.service", "a@1.2": "a@1.2.service",
		"data.mount": "data.mount", "x.target": "x.target",
	} {
		if got := systemd.UnitName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
