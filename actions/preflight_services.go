package actions

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/docker/guard"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/serving/ollama"
)

// unit checks a systemd unit and the right to restart it.
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
	// Only root may ask polkit about a unit. So this requests a restart from systemd in an invalid mode, which systemd
	// refuses after it has checked the permission.
	out, _ = exec.CommandContext(c.ctx, "systemctl", "--no-ask-password", "--job-mode=isolate", "restart",
		name).CombinedOutput()
	if said := printed(out, nil); !strings.Contains(strings.ToLower(said), "isolate") {
		c.add("unit_not_allowed", "let this user restart the unit by a polkit rule: retraind init systemd generates it",
			"a restart of %s would be refused: %s", name, said)
	}
}

// compose checks that the Docker engine and the compose program can be used, and that the compose file has the service.
// It also checks what a docker helper in front of the engine would refuse. change says what the step does to the
// service besides stopping and starting it.
func (c *preflight) compose(s compose.Service, change change) {
	there := c.directory(s.Dir)
	reached := c.engine()
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
	cmd.Dir = s.Dir
	out, err := cmd.Output()
	switch services := strings.Fields(string(out)); {
	case err != nil:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = exit.Stderr
		}
		c.add("compose_file", "correct the compose file in "+s.Dir, "%s config: %s", strings.Join(argv, " "), printed(out, err))
	case !slices.Contains(services, s.Name):
		c.add("service_unknown", "name one of "+strings.Join(services, ", "), "the compose file in %s has no service %s",
			s.Dir, s.Name)
	case reached:
		c.helper(s, change)
	}
}

// ollama checks the server, and whether it has the model of a step; it loads nothing.
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
		c.add("ollama_unreachable", "start Ollama (systemctl start ollama), or correct ollama.url", "%v", err)
	case err != nil:
		c.add("ollama_unreachable", "see the log of the Ollama server", "%v", err)
	case a.Model != gpu.AllModels && !slices.ContainsFunc(models, has):
		c.add("model_missing", "correct model (ollama list shows the names), or create the model",
			"the Ollama server at %s has no model %s", server.URL(), a.Model)
	}
}

// change says what a step does to a service besides stopping and starting it.
type change struct {
	exchange bool // it recreates the container
	beside   bool // it runs a container beside the service
}

// helper checks what a docker helper in front of the engine would refuse.
func (c *preflight) helper(s compose.Service, change change) {
	socket := docker.Socket()
	if socket == "" {
		return
	}
	why, err := guard.Refuses(c.ctx, socket, guard.Service{Dir: s.Dir, Name: s.Name, Project: s.Project})
	switch {
	case errors.Is(err, guard.ErrNoGuard):
		return
	case err != nil:
		c.add("helper_unusable", "restart the helper: systemctl restart retraind-docker.service", "%v", err)
		return
	case why != "":
		c.add("helper_refuses", "bring the service up once by hand if it was never up (docker compose up -d "+s.Name+
			"); otherwise generate the units again with `retraind init systemd`, and restart retraind-docker.service",
			"the docker helper refuses every change of service %s: %s", s.Name, why)
		return
	case !change.exchange:
		return
	}
	refused, err := guard.Rehearse(c.ctx, socket, func(ctx context.Context, host string) {
		if err := s.Rehearse(ctx, host, change.beside); err != nil {
			c.add("service_unusable", "correct the service as described", "%v", err)
		}
	})
	if err != nil {
		c.add("helper_unusable", "restart the helper: systemctl restart retraind-docker.service", "%v", err)
	}
	for _, r := range refused {
		c.add("helper_refuses", "if the service should have these rights, bring it up once by hand (docker compose up -d "+s.Name+
			"); otherwise correct the compose file", "the docker helper refuses %s: %s", r.Request, r.Why)
	}
}

// engine reports whether the Docker engine answers.
func (c *preflight) engine() bool {
	engine, err := docker.New("")
	if err == nil {
		defer engine.Close()
		err = engine.Ping(c.ctx)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, docker.ErrDenied):
		c.add("engine_denied", "give this user access to the engine's socket, or set DOCKER_HOST to the docker helper's socket",
			"%v", err)
	case errors.Is(err, docker.ErrTooOld):
		c.add("engine_too_old", "install Docker 20.10 or newer", "%v", err)
	default:
		c.add("engine_unreachable", "start the engine: systemctl start docker", "%v", err)
	}
	return false
}
