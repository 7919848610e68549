//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is one version of docker compose, with the environment variables that select it.
type program struct {
	words string // the command, such as "docker compose"
	env   []string
	v2    bool
}

// composeV1 returns the docker-compose on PATH, version 1 as in Debian 12. An empty Docker configuration hides a
// compose plugin of this user.
func composeV1(t *testing.T) program {
	t.Helper()
	return program{words: "docker-compose", env: []string{"DOCKER_CONFIG=" + t.TempDir()}}
}

// composeV2 returns the plugin that scripts/compose.sh has built. If it is not built, the test is skipped.
func composeV2(t *testing.T) program {
	t.Helper()
	path, err := exec.Command("../../scripts/compose.sh", "--path").Output()
	if err != nil {
		t.Fatalf("scripts/compose.sh --path: %v", err)
	}
	plugin := strings.TrimSpace(string(path))
	if _, err := os.Stat(plugin); errors.Is(err, fs.ErrNotExist) {
		t.Skip("SKIPPED: the docker compose plugin is not built here: run scripts/compose.sh")
	}
	config := t.TempDir()
	if err := os.Mkdir(filepath.Join(config, "cli-plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(plugin, filepath.Join(config, "cli-plugins", "docker-compose")); err != nil {
		t.Fatal(err)
	}
	return program{words: "docker compose", env: []string{"DOCKER_CONFIG=" + config}, v2: true}
}

// command returns a compose command that runs in dir and uses the engine at host.
func (p program) command(dir, host string, args ...string) *exec.Cmd {
	argv := append(strings.Fields(p.words), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DOCKER_HOST="+host, "DOCKER_BUILDKIT=0")
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

// eachCompose runs a test with both versions of compose.
func eachCompose(t *testing.T, test func(*testing.T, program)) {
	t.Run("v1", func(t *testing.T) { test(t, composeV1(t)) })
	t.Run("v2", func(t *testing.T) { test(t, composeV2(t)) })
}
