package compose

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// config is the part of a project's configuration that this package needs, as printed by compose.
type config struct {
	Name     string `yaml:"name"` // not printed by version 1
	Services map[string]struct {
		Image string `yaml:"image"`
		Build any    `yaml:"build"`
	} `yaml:"services"`
}

// AllProfiles are arguments that precede the command of compose version 2. With them `config` also prints services that
// only a profile enables; version 1 always prints these.
var AllProfiles = []string{"--profile", "*"}

func (c cli) config(ctx context.Context) (config, error) {
	var out config
	if !c.v1 {
		c.argv = append(c.argv[:len(c.argv):len(c.argv)], AllProfiles...)
	}
	text, err := c.output(ctx, "config")
	if err != nil {
		return out, err
	}
	if err := yaml.Unmarshal(text, &out); err != nil {
		return out, fmt.Errorf("read the output of %s config: %w", strings.Join(c.argv, " "), err)
	}
	return out, nil
}

// image returns the name of the image from which compose creates the service's container.
func (c config) image(files []string, s Service, v1 bool) (string, error) {
	service, known := c.Services[s.Name]
	switch {
	case !known:
		return "", fmt.Errorf("compose: %s has no service %q, it has %s: correct service", strings.Join(files, " and "), s.Name,
			strings.Join(slices.Sorted(maps.Keys(c.Services)), ", "))
	case service.Image != "":
		return service.Image, nil
	case service.Build == nil:
		return "", fmt.Errorf("compose: service %s of %s has neither image nor build: add one", s.Name, files[0])
	case v1:
		return s.Project + "_" + s.Name, nil
	}
	return s.Project + "-" + s.Name, nil
}

func (c config) builds(service string) bool { return c.Services[service].Build != nil }

// project returns compose's default project name for a directory.
func (c config) project(dir string) string {
	if c.Name != "" {
		return c.Name
	}
	if b, err := os.ReadFile(filepath.Join(dir, ".env")); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "COMPOSE_PROJECT_NAME="); ok && name != "" {
				return strings.Trim(name, `"'`)
			}
		}
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(dir)))
}
