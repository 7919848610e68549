package actions

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/systemd"
)

// Needs lists what deployments and steps need rights to, outside the state directory.
type Needs struct {
	Units    []string          // units to restart, start or stop
	Services []ComposedService // docker compose services to control
	Writable []string          // directories to write to
}

// ComposedService names a service and, if configured, its project.
type ComposedService struct{ Dir, Project, Name string }

// Add adds the needs of a model's deployment and of the steps of a pipeline.
func (n *Needs) Add(deploy *DeployConfig, steps []StepConfig) {
	for _, s := range steps {
		switch s := s.StepType.(type) {
		case *CommandStep:
			n.writes(s.Dir)
		case *ExportStep:
			for _, to := range s.Place {
				n.writes(filepath.Dir(filepath.Join(s.dir, to)))
			}
		case *ComposeStep:
			n.Services = append(n.Services, ComposedService{Dir: s.Dir, Name: s.Service})
		case *UnitStep:
			n.Units = append(n.Units, systemd.UnitName(s.Unit))
		}
	}
	if deploy == nil {
		return
	}
	if r := deploy.Restart; r != nil {
		if r.Unit != "" {
			n.Units = append(n.Units, systemd.UnitName(r.Unit))
		}
		if r.Compose != nil {
			n.Services = append(n.Services, ComposedService{Dir: r.Compose.Dir, Name: r.Compose.Service})
		}
	}
	if c := deploy.Compose; c != nil {
		n.Services = append(n.Services, ComposedService{Dir: c.Dir, Project: c.Project, Name: c.Service})
		for _, to := range c.Files {
			n.writes(filepath.Dir(filepath.Join(c.Dir, to)))
		}
	}
}

// Stop adds the needs of gpu.stop.
func (n *Needs) Stop(stopped []gpu.StopConfig) {
	for _, s := range stopped {
		if s.Unit != "" {
			n.Units = append(n.Units, systemd.UnitName(s.Unit))
		}
		if s.Compose != nil {
			n.Services = append(n.Services, ComposedService{Dir: s.Compose.Dir, Name: s.Compose.Service})
		}
	}
}

func (n *Needs) writes(dir string) {
	if dir != "" {
		n.Writable = append(n.Writable, filepath.Clean(dir))
	}
}

// Outside sorts the needs and removes duplicates. It also removes directories below the state directory or below
// another listed directory.
func (n *Needs) Outside(state string) {
	slices.Sort(n.Units)
	n.Units = slices.Compact(n.Units)
	slices.SortFunc(n.Services, func(a, b ComposedService) int {
		return strings.Compare(a.Dir+"\x00"+a.Name+"\x00"+a.Project, b.Dir+"\x00"+b.Name+"\x00"+b.Project)
	})
	n.Services = slices.Compact(n.Services)
	slices.Sort(n.Writable)
	kept := []string{}
	for _, dir := range n.Writable {
		if !slices.ContainsFunc(append([]string{filepath.Clean(state)}, kept...), func(above string) bool {
			return dir == above || strings.HasPrefix(dir, strings.TrimSuffix(above, "/")+"/")
		}) {
			kept = append(kept, dir)
		}
	}
	n.Writable = kept
}
