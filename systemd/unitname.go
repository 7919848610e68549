package systemd

import (
	"path"
	"slices"
)

// unitTypes are the suffixes of unit names (systemd.unit(5)).
var unitTypes = []string{
	".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice", ".scope",
}

// UnitName returns a unit's full name, as systemctl does: it adds .service if the name has no suffix of a unit type.
func UnitName(name string) string {
	if slices.Contains(unitTypes, path.Ext(name)) {
		return name
	}
	return name + ".service"
}
