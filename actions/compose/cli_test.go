package compose

import (
	"os"
	"path/filepath"
	"testing"
)

// The error of a compose command names the cause that compose printed.
func TestCauseOfAFailedCommand(t *testing.T) {
	t.Parallel()
	for printed, want := range map[string]string{
		"":                         "sh build: exit status 1",
		"no configuration file":    "sh build: exit status 1: no configuration file",
		"a\n\nb: COPY failed\nc\n": "sh build: exit status 1: b: COPY failed; c",
		"Traceback (most recent call last):\n  raise DockerException(\ndocker.errors.DockerException: connection refused\n": "sh build: exit status 1: docker.errors.DockerException: connection refused",
	} {
		dir := t.TempDir()
		script := "cat >&2 <<'END'\n" + printed + "\nEND\nexit 1\n"
		if err := os.WriteFile(filepath.Join(dir, "compose"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		c := cli{argv: []string{"sh", filepath.Join(dir, "compose")}, dir: dir}
		want = "sh " + filepath.Join(dir, "compose") + want[len("sh"):]
		if err := c.run(t.Context(), "build"); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
