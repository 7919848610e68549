package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/retraind/retraind/actions/docker"
)

// cli is compose's command line for one project.
type cli struct {
	argv    []string // the program
	v1      bool
	pulls   bool // whether `up` has the flag --pull
	dir     string
	project string
	files   []string
	host    string // address of the engine; "" to use DOCKER_HOST
}

// FindCLI returns the command that runs docker compose: the plugin `docker compose`, else the program docker-compose.
// v1 reports whether that is compose version 1.
func FindCLI(ctx context.Context) (argv []string, v1 bool, err error) {
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	pluginErr := exec.CommandContext(ctx, "docker", "compose", "version").Run()
	if pluginErr == nil {
		return []string{"docker", "compose"}, false, nil
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		return nil, false, fmt.Errorf("docker compose: %w, and docker-compose is not in PATH: install the compose plugin, or docker-compose",
			pluginErr)
	}
	said, err := exec.CommandContext(ctx, "docker-compose", "version", "--short").Output()
	if err != nil {
		return nil, false, fmt.Errorf("docker-compose version: %w", err)
	}
	return []string{"docker-compose"}, strings.HasPrefix(strings.TrimSpace(string(said)), "1."), nil
}

func findCLI(ctx context.Context, s Service) (cli, error) {
	argv, v1, err := FindCLI(ctx)
	c := cli{argv: argv, v1: v1, dir: s.Dir, project: s.Project, files: s.Files}
	if err == nil && !v1 {
		help := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], "up", "--help")...)
		text, _ := help.CombinedOutput()
		c.pulls = bytes.Contains(text, []byte("--pull "))
	}
	return c, err
}

// overrideFile is the suffix of a compose file that sets an image for one command.
const overrideFile = ".retraind-image.json"

// withImage returns a copy of c in which the service has another image and additional environment variables. It writes an
// additional compose file into dir; the user's compose file is unchanged. The image is in no registry, so the additional
// file overrides pull_policy, a key that version 1 does not have.
func (c cli) withImage(dir, service, image string, env map[string]string) (cli, error) {
	keys := map[string]any{"image": image}
	if !c.v1 {
		keys["pull_policy"] = "never"
	}
	if len(env) > 0 { // not in arguments of compose, which every user of the machine can read
		escaped := map[string]string{}
		for name, value := range env {
			escaped[name] = strings.ReplaceAll(value, "$", "$$")
		}
		keys["environment"] = escaped
	}
	text, err := json.Marshal(map[string]any{"services": map[string]any{service: keys}})
	if err != nil {
		return c, err
	}
	path := filepath.Join(dir, service+overrideFile)
	c.files = append(c.files[:len(c.files):len(c.files)], path)
	return c, os.WriteFile(path, text, 0o600)
}

// command returns a compose command with flags for the project, its directory and its files.
func (c cli) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{}, c.argv[1:]...)
	if c.project != "" {
		all = append(all, "--project-name", c.project)
	}
	all = append(all, "--project-directory", c.dir)
	for _, f := range c.files {
		all = append(all, "--file", f)
	}
	cmd := exec.CommandContext(ctx, c.argv[0], append(all, args...)...)
	cmd.Dir = c.dir
	if c.host != "" {
		cmd.Env = append(os.Environ(), docker.HostVar+"="+c.host)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a compose command and writes its output to the step's output.
func (c cli) run(ctx context.Context, args ...string) error {
	var tail tail
	cmd := c.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, io.MultiWriter(os.Stderr, &tail)
	fmt.Println("+", strings.Join(cmd.Args, " "))
	if err := cmd.Run(); err != nil {
		return c.failed(ctx, args[0], err, tail.String())
	}
	return nil
}

// output runs a compose command and returns its standard output.
func (c cli) output(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	var tail tail
	cmd := c.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &tail
	if err := cmd.Run(); err != nil {
		return nil, c.failed(ctx, args[0], err, tail.String())
	}
	return out.Bytes(), nil
}

// pythonError matches the last line of a Python traceback, with which version 1 ends if it does not reach the engine.
var pythonError = regexp.MustCompile(`^[\w.]*(Error|Exception): `)

func (c cli) failed(ctx context.Context, what string, err error, said string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	last := strings.Join(lines[max(0, len(lines)-2):], "; ") // the last line of version 1 says only that it failed
	if n := len(lines); n > 0 && pythonError.MatchString(lines[n-1]) {
		last = lines[n-1] // the line before is code
	}
	if strings.Contains(said, "'ContainerConfig'") {
		last = "docker-compose of version 1 cannot recreate containers of this engine: install the plugin (docker-compose-plugin)"
	}
	if last == "" {
		return fmt.Errorf("%s %s: %w", strings.Join(c.argv, " "), what, err)
	}
	return fmt.Errorf("%s %s: %w: %s", strings.Join(c.argv, " "), what, err, last)
}

// tail keeps the last bytes written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 8<<10 {
		t.b = append(t.b[:0], t.b[len(t.b)-4<<10:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
