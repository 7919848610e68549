package actions

import (
	"regexp"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// DeployConfig is how the step deploy puts a release into service. A rollback uses the same strategy with the former
// release. It may be written as the word link.
type DeployConfig struct {
	// Restart points the link current to the release and then restarts the service, for a service that reads its model
	// only at start.
	Restart *RestartConfig `yaml:"restart"`
	// Compose copies files of the release into a build context, builds the image, and replaces the container of a docker
	// compose service.
	Compose *ComposeDeploy `yaml:"compose"`
	// Ollama stores each release as a model of its own on an Ollama server, and assigns the name that clients use to the
	// release.
	Ollama *OllamaDeploy `yaml:"ollama"`

	word Strategy
}

// Strategy is a way to deploy a release that needs no further keys.
type Strategy string

// StrategyLink is the default: the link `current` points to the release, and the service follows it.
const StrategyLink Strategy = "link"

// YAMLForm accepts the word link in place of a mapping.
func (d *DeployConfig) YAMLForm(form string) any {
	switch form {
	case "scalar":
		return &d.word
	case "mapping":
		return (*deployKeys)(d)
	}
	return nil
}

type deployKeys DeployConfig

// RestartConfig restarts a service in one of three ways.
type RestartConfig struct {
	// Unit is a systemd unit, which is restarted with systemctl.
	Unit string `yaml:"unit"`
	// Compose is a service of docker compose, which is restarted with docker compose.
	Compose *ComposeService `yaml:"compose"`
	// Exec is a command that restarts the service, a list of arguments without a shell. It runs in the model's dir, and
	// may run twice after a crash.
	Exec []string `yaml:"exec"`
}

// ComposeService names a service of docker compose.
type ComposeService struct {
	// Dir is the directory with the compose file.
	Dir string `yaml:"dir"`
	// Service is the name of the service in the compose file.
	Service string `yaml:"service"`
}

var (
	unitName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,254}$`)
	serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)
)

// Paths resolves the relative paths of the strategy.
func (d *DeployConfig) Paths(abs func(string) string) {
	if d.Restart != nil && d.Restart.Compose != nil {
		d.Restart.Compose.Dir = abs(d.Restart.Compose.Dir)
	}
	if d.Compose != nil {
		d.Compose.Dir = abs(d.Compose.Dir)
	}
	if d.Ollama != nil {
		d.Ollama.Store = abs(d.Ollama.Store)
	}
}

// Validate returns the faults.
func (d *DeployConfig) Validate() check.Problems {
	var p check.Problems
	if d.word != "" && d.word != StrategyLink {
		p.Errorf("", "write link, restart: {unit: NAME}, compose: {dir: DIR, service: NAME} or ollama: {gguf: FILE}",
			"unknown strategy %q", d.word)
	}
	if d.Restart != nil {
		p.Under("restart", d.Restart.validate())
	}
	if d.Compose != nil {
		p.Under("compose", d.Compose.validate())
	}
	if d.Ollama != nil {
		p.Under("ollama", d.Ollama.validate())
	}
	if given := d.given(); len(given) > 1 {
		p.Errorf(given[1], "keep one", "a release is deployed in one way, not by %s", strings.Join(given, " and "))
	}
	return p
}

// given lists the configured strategies.
func (d *DeployConfig) given() (keys []string) {
	for _, s := range []struct {
		key   string
		there bool
	}{{"restart", d.Restart != nil}, {"compose", d.Compose != nil}, {"ollama", d.Ollama != nil}} {
		if s.there {
			keys = append(keys, s.key)
		}
	}
	return keys
}

func (r *RestartConfig) validate() check.Problems {
	var p check.Problems
	var given []string
	if r.Unit != "" {
		given = append(given, "unit")
	}
	if r.Compose != nil {
		given = append(given, "compose")
	}
	if len(r.Exec) > 0 {
		given = append(given, "exec")
	}
	switch len(given) {
	case 0:
		p.Errorf("", "write unit: NAME, compose: {dir: …, service: …} or exec: [program, argument]", "it is not configured what to restart")
	case 1:
	default:
		p.Errorf(given[1], "keep one", "a service is restarted in one way, not by %s", strings.Join(given, " and "))
	}
	if r.Unit != "" && !unitName.MatchString(r.Unit) {
		p.Errorf("unit", "write a name such as classifier.service", "%q cannot name a unit", r.Unit)
	}
	if c := r.Compose; c != nil {
		if c.Dir == "" {
			p.Errorf("compose.dir", "name the directory of the compose file", "dir is missing")
		}
		if !serviceName.MatchString(c.Service) {
			p.Errorf("compose.service", "write the service's name in the compose file", "%q cannot name a service", c.Service)
		}
	}
	validateArgv(&p, "exec", r.Exec)
	validateVariables(&p, "exec", r.Exec)
	return p
}
