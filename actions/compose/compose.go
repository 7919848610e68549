// Package compose deploys a release in docker compose, and rolls back to the former one: it keeps the present image
// under an additional name, places files into the build context, builds, replaces the container, and waits until the
// new one is healthy.
//
// It finds containers through the engine, by compose's labels; it runs compose's command line (the plugin of docker,
// else docker-compose) only to read the compose file, to build, and to bring containers up. It always passes the
// project and the files. It never lets compose pull images, remove orphans, or wait for health, since compose regards a
// container without a health check as healthy.
//
// The work runs as jobs under the step supervisor (see package job) and may run twice. The state before any change is
// therefore stored in a trace in the run's directory, so that a later attempt never mistakes the candidate for the
// former release.
package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/docker"
)

// Service is one service of docker compose.
type Service struct {
	Dir     string   `json:"dir"`               // directory of the compose file
	Files   []string `json:"files,omitempty"`   // compose files; default: the present container's, else compose's
	Project string   `json:"project,omitempty"` // default: the running container's, else compose's
	Name    string   `json:"service"`
	Build   bool     `json:"build,omitempty"`
	// Place maps files of a release to their paths below Dir.
	Place map[string]string `json:"place,omitempty"`
	// Within is how long a new container may take to become healthy.
	Within time.Duration `json:"within,omitempty"`
}

// site is the state of a service on this machine.
type site struct {
	Service
	engine *docker.Client
	cli    cli
	image  string            // name of the image that compose creates the container from
	now    *docker.Container // the running container, else the newest one; nil if there is none
}

// find reads the state of the service: its files, project and container. It changes nothing.
func find(ctx context.Context, s Service) (*site, error) {
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("compose: %s is not a directory: correct dir", s.Dir)
	}
	engine, err := docker.New("")
	if err != nil {
		return nil, err
	}
	if err := engine.Ping(ctx); err != nil {
		return nil, err
	}
	all, err := engine.Labelled(ctx, docker.LabelService+"="+s.Name)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c docker.Container) bool { return !c.In(s.Dir) })
	if err := s.complete(all); err != nil {
		return nil, err
	}
	out := &site{Service: s, engine: engine}
	if out.cli, err = findCLI(ctx, s); err != nil {
		return nil, err
	}
	config, err := out.cli.config(ctx)
	if err != nil {
		return nil, err
	}
	if out.Project == "" {
		out.Project = config.project(s.Dir)
		out.cli.project = out.Project
	}
	if out.image, err = config.image(out.cli.files, out.Service, out.cli.v1); err != nil {
		return nil, err
	}
	if s.Build && !config.builds(s.Name) {
		return nil, fmt.Errorf("compose: service %s of %s has no build section: add one, or leave build out", s.Name,
			out.cli.files[0])
	}
	return out, out.look(ctx)
}

// complete fills in a project and compose files that are not configured, from the labels of the given containers of the
// directory. If there are no containers, it uses compose's default files. It checks that the files exist.
func (s *Service) complete(running []docker.Container) error {
	for _, c := range running {
		if s.Project == "" {
			s.Project = c.Project()
		}
	}
	if len(s.Files) == 0 && len(running) > 0 {
		for _, name := range strings.Split(running[0].Labels[docker.LabelFiles], ",") {
			if name != "" && !filepath.IsAbs(name) {
				name = filepath.Join(s.Dir, name)
			}
			if name == "" || strings.HasSuffix(name, overrideFile) {
				continue
			}
			if _, err := os.Stat(name); err != nil {
				return fmt.Errorf("compose: service %s was brought up from %s, which no longer exists: restore it, or set file to the compose file",
					s.Name, name)
			}
			s.Files = append(s.Files, name)
		}
	}
	if len(s.Files) == 0 {
		s.Files = defaultFiles(s.Dir)
	}
	if len(s.Files) == 0 {
		return fmt.Errorf("compose: %s has no compose file: correct dir, or set file to the compose file", s.Dir)
	}
	for i, name := range s.Files {
		if !filepath.IsAbs(name) {
			s.Files[i] = filepath.Join(s.Dir, name)
		}
		if _, err := os.Stat(s.Files[i]); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("compose: the compose file %s is missing: correct file or dir", s.Files[i])
		}
	}
	return nil
}

// defaultFiles returns the files that compose itself uses in a directory, including the override.
func defaultFiles(dir string) (out []string) {
	for _, names := range [][]string{
		{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"},
		{"compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"},
	} {
		i := slices.IndexFunc(names, func(name string) bool {
			_, err := os.Stat(filepath.Join(dir, name))
			return err == nil
		})
		if i < 0 {
			break // an override applies only with the main file
		}
		out = append(out, filepath.Join(dir, names[i]))
	}
	return out
}

// look reads the service's container from the engine into s.now.
func (s *site) look(ctx context.Context) error {
	all, err := s.engine.Containers(ctx, s.Project, s.Name)
	if err != nil {
		return err
	}
	running := 0
	s.now = nil
	for i, c := range all {
		if dir := c.Labels[docker.LabelDir]; dir != "" && !c.In(s.Dir) {
			return fmt.Errorf("compose: the project name %s is also used in %s, by container %s: choose a different project name for one of these directories",
				s.Project, dir, c.Name)
		}
		if c.Running() {
			running++
		}
		if s.now == nil || c.Running() && !s.now.Running() {
			s.now = &all[i]
		}
	}
	if running > 1 {
		return fmt.Errorf("compose: %d containers of service %s run: retraind replaces exactly one; set its scale to 1, or deploy with your own commands",
			running, s.Name)
	}
	return nil
}

// Repository returns the image repository for the releases of a service, retraind/PROJECT-SERVICE. Each image's tag
// names its release (see Tag).
func Repository(project, service string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, project+"-"+service)
	for strings.Contains(clean, "--") {
		clean = strings.ReplaceAll(clean, "--", "-")
	}
	return "retraind/" + strings.Trim(clean, "-")
}

// Tag returns the tag of a release's image: the first 12 characters of the hash in its digest. If the digest is empty,
// the tag is "none", for the image that served before the first release.
func Tag(digest string) string {
	if digest == "" {
		return "none"
	}
	_, hash, found := strings.Cut(digest, ":")
	if !found {
		hash = digest
	}
	return hash[:min(len(hash), 12)]
}

// kept returns the name under which the image of a release is kept.
func (s *site) kept(digest string) string { return Repository(s.Project, s.Name) + ":" + Tag(digest) }
