package gpu

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// StopConfig names something that a run stops while its steps use the GPU: a compose service, a systemd unit, or models
// that Ollama has loaded. If it was running before, it is started again at the end of the run.
type StopConfig struct {
	// Compose is a service of docker compose; its containers are stopped.
	Compose *StopCompose `yaml:"compose" json:"compose,omitempty"`
	// Unit is a systemd unit to stop, such as tagger.service.
	Unit string `yaml:"unit" json:"unit,omitempty"`
	// Healthy is a URL that answers with 2xx once the unit works again.
	Healthy string `yaml:"healthy" json:"healthy,omitempty"`
	// Ollama lists the models that Ollama unloads; all means every loaded model.
	Ollama unit.List `yaml:"ollama" json:"ollama,omitempty"`
	// Server is the configured URL of Ollama.
	Server string `yaml:"-" json:"server,omitempty"`
}

// StopCompose is a service of docker compose that a run stops.
type StopCompose struct {
	// Dir is the directory with the compose file.
	Dir string `yaml:"dir" json:"dir"`
	// Service is the name of the service in the compose file.
	Service string `yaml:"service" json:"service"`
	// Healthy is a URL that answers with 2xx once the service works again. Without it the container's health check
	// decides, or, if it has none, that the container runs.
	Healthy string `yaml:"healthy" json:"healthy,omitempty"`
}

// AllModels means every model that Ollama has loaded.
const AllModels = "all"

// Models lists the names of the models to unload; empty means all.
func (c StopConfig) Models() []string {
	if slices.Contains(c.Ollama, AllModels) {
		return nil
	}
	return c.Ollama
}

// String names what is stopped.
func (c StopConfig) String() string {
	switch {
	case c.Compose != nil:
		return fmt.Sprintf("compose service %s of %s", c.Compose.Service, c.Compose.Dir)
	case c.Unit != "":
		return "unit " + c.Unit
	case slices.Contains(c.Ollama, AllModels):
		return "every model that Ollama has loaded"
	default:
		return "Ollama model " + strings.Join(c.Ollama, ", ")
	}
}

var (
	stopUnit    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,254}$`)
	stopService = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)
)

// paths resolves the relative paths.
func (c *StopConfig) paths(abs func(string) string) {
	if c.Compose != nil {
		c.Compose.Dir = abs(c.Compose.Dir)
	}
}

func (c StopConfig) validate(p *check.Problems, here string) {
	given := 0
	for _, is := range []bool{c.Compose != nil, c.Unit != "", len(c.Ollama) > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		p.Errorf(here, "write compose: {dir: …, service: …}, unit: NAME or ollama: all; one in each entry of the list",
			"an entry names one thing to stop, not %d", given)
		return
	}
	if c.Healthy != "" && c.Unit == "" {
		p.Errorf(here+".healthy", "for a compose service write it inside compose: {…}",
			"healthy is allowed here only together with unit")
	}
	validateURL(p, here+".healthy", c.Healthy)
	switch {
	case c.Compose != nil:
		if c.Compose.Dir == "" || !filepath.IsAbs(c.Compose.Dir) {
			p.Errorf(here+".compose.dir", "name the directory of the compose file", "dir is missing")
		}
		if !stopService.MatchString(c.Compose.Service) {
			p.Errorf(here+".compose.service", "write the service's name in the compose file", "%q cannot name a service",
				c.Compose.Service)
		}
		validateURL(p, here+".compose.healthy", c.Compose.Healthy)
	case c.Unit != "" && !stopUnit.MatchString(c.Unit):
		p.Errorf(here+".unit", "write a name such as tagger.service", "%q cannot name a unit", c.Unit)
	case len(c.Ollama) > 1 && slices.Contains(c.Ollama, AllModels):
		p.Errorf(here+".ollama", "write either all or the names of models", "all cannot be combined with names")
	}
}

func validateURL(p *check.Problems, path, raw string) {
	if raw == "" {
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		p.Errorf(path, "write a URL such as http://127.0.0.1:8000/health", "%q is not an http or https URL", text.URL(raw))
	}
}
