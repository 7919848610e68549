package configs

import (
	"maps"
	"slices"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/systemd"
)

// Needs returns the rights that the daemon needs for the models' deployments and steps, beyond access to its state
// directory.
func (f *File) Needs() systemd.Needs {
	var all actions.Needs
	for _, name := range f.Names() {
		m := f.Models[name]
		for _, pipeline := range slices.Sorted(maps.Keys(m.Pipeline)) {
			all.Add(m.Deploy, m.Pipeline[pipeline])
		}
		if m.GPU != nil {
			all.Stop(m.GPU.Stop)
		}
	}
	all.Outside(f.State)
	out := systemd.Needs{Units: all.Units, Writable: all.Writable}
	for _, s := range all.Services {
		out.Services = append(out.Services, systemd.ComposeService(s))
	}
	return out
}
