package actions

import (
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// ComposeDeploy replaces the container of a service of docker compose. A rollback uses the former image, without a
// build.
type ComposeDeploy struct {
	// Dir is the directory with the compose file.
	Dir string `yaml:"dir"`
	// File names the compose files, relative to dir; default: those that the running container was started from, else
	// compose's default.
	File unit.List `yaml:"file"`
	// Project is the name of the compose project; default: that of the running container, else compose's default.
	Project string `yaml:"project"`
	// Service is the name of the service in the compose file.
	Service string `yaml:"service"`
	// Build builds the service's image from the copied files. Without it the container is only created again.
	Build bool `yaml:"build"`
	// Files maps files of the release to their paths below dir: {model.pkl: models/model.pkl}. For a directory of the
	// release, each file in it is copied: {weights: models/weights}.
	Files map[string]string `yaml:"files"`
	// HealthyWithin is how long the new container may take to become healthy; default 2m.
	HealthyWithin unit.Duration `yaml:"healthy_within"`
}

var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// service converts the configuration into the form that the compose jobs use.
func (c *ComposeDeploy) service() compose.Service {
	return compose.Service{
		Dir: c.Dir, Files: slices.Clone(c.File), Project: c.Project, Name: c.Service, Build: c.Build, Place: c.Files,
		Within: c.HealthyWithin.D(),
	}
}

func (c *ComposeDeploy) validate() check.Problems {
	var p check.Problems
	if c.Dir == "" {
		p.Errorf("dir", "name the directory of the compose file", "dir is missing")
	}
	if !serviceName.MatchString(c.Service) {
		p.Errorf("service", "write the service's name in the compose file", "%q cannot name a service", c.Service)
	}
	if c.Project != "" && !projectName.MatchString(c.Project) {
		p.Errorf("project", "use a-z, 0-9, - and _", "%q cannot name a project", c.Project)
	}
	if c.HealthyWithin < 0 {
		p.Errorf("healthy_within", "write a duration such as 2m", "%v is negative", c.HealthyWithin)
	}
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		to, at := c.Files[name], "files."+name
		if !filepath.IsLocal(name) || path.Clean(name) == "." {
			p.Errorf(at, "write the name of a file of the release, such as model.pkl", "%q cannot name a file of a release", name)
		}
		switch clean := path.Clean(to); {
		case !filepath.IsLocal(to) || clean == "." || strings.HasSuffix(to, "/"):
			p.Errorf(at, "write a path below dir, such as models/model.pkl", "%q is not the path of a file below dir", to)
		case taken[clean] != "":
			p.Errorf(at, "choose another path", "%s and %s would both be placed as %s", taken[clean], name, clean)
		default:
			for other := range taken {
				if strings.HasPrefix(clean, other+"/") || strings.HasPrefix(other, clean+"/") {
					p.Errorf(at, "choose another path", "%s and %s would be placed one inside the other", taken[other], name)
				}
			}
			taken[clean] = name
		}
	}
	return p
}
