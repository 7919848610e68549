package actions

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/serving/ollama"
)

// unit looks at a systemd unit and at the right to restart it.
func (c *preflight) unit(name string) {
	out, err := exec.CommandContext(c.ctx, "systemctl", "show", "--property=LoadState", "--value", name).CombinedOutput()
	switch state := strings.TrimSpace(string(out)); {
	case err != nil:
		c.add("systemd_unreachable", "run this where systemd runs the service", "systemctl show %s: %s", name, printed(out, err))
		return
	case state == "masked":
		c.add("unit_masked", "systemctl unmask "+name, "unit %s is masked", name)
		return
	case state != "loaded":
		c.add("unit_missing", "correct the name, or install the unit", "unit %s has load state %s", name, state)
		return
	}
	if os.Geteuid() == 0 {
		return
	}
	out, err = exec.CommandContext(c.ctx, "pkcheck", "--action-id", "org.freedesktop.systemd1.manage-units",
		"--process", strconv.Itoa(os.Getpid()), "--detail", "unit", name, "--detail", "verb", "restart").CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		c.add("unit_not_allowed", "let this user restart the unit by a polkit rule", "pkcheck for a restart of %s: %s", name,
			printed(out, err))
	}
}

// compose looks at the engine, at the program that reads the compose file, and for the service in that file.
func (c *preflight) compose(dir, service string) {
	there := c.directory(dir)
	c.engine()
	argv, v1, err := compose.FindCLI(c.ctx)
	if err != nil {
		c.add("compose_missing", "install the plugin docker compose, or docker-compose", "%v", err)
		return
	}
	if !there {
		return
	}
	args := slices.Clone(argv[1:])
	if !v1 {
		args = append(args, compose.AllProfiles...)
	}
	cmd := exec.CommandContext(c.ctx, argv[0], append(args, "config", "--services")...)
	cmd.Dir = dir
	out, err := cmd.Output()
	switch services := strings.Fields(string(out)); {
	case err != nil:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = exit.Stderr
		}
		c.add("compose_file", "correct the compose file in "+dir, "%s config: %s", strings.Join(argv, " "), printed(out, err))
	case !slices.Contains(services, service):
		c.add("service_unknown", "name one of "+strings.Join(services, ", "), "the compose file in %s has no service %s",
			dir, service)
	}
}

// ollama looks at the server and whether it has the model of a step; nothing is loaded.
func (c *preflight) ollama(a OllamaAct) {
	server, err := ollama.New(a.URL)
	var models []ollama.Model
	if err == nil {
		defer server.Close()
		models, err = server.Models(c.ctx)
	}
	has := func(m ollama.Model) bool { return ollama.Tagged(m.Name) == ollama.Tagged(a.Model) }
	switch {
	case errors.Is(err, ollama.ErrAway):
		c.add("ollama_unreachable", "start it (systemctl start ollama), or correct ollama.url", "%v", err)
	case err != nil:
		c.add("ollama_unreachable", "look at the log of the Ollama server", "%v", err)
	case a.Model != gpu.AllModels && !slices.ContainsFunc(models, has):
		c.add("model_missing", "correct model, or create it: ollama list shows what there is",
			"the Ollama server at %s has no model %s", server.URL(), a.Model)
	}
}

func (c *preflight) engine() {
	engine, err := docker.New("")
	if err == nil {
		defer engine.Close()
		err = engine.Ping(c.ctx)
	}
	switch {
	case err == nil:
	case errors.Is(err, docker.ErrDenied):
		c.add("engine_denied", "let this user use the engine's socket, or set DOCKER_HOST to a helper's", "%v", err)
	case errors.Is(err, docker.ErrTooOld):
		c.add("engine_too_old", "install Docker 20.10 or newer", "%v", err)
	default:
		c.add("engine_unreachable", "start the engine: systemctl start docker", "%v", err)
	}
}
