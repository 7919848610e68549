package gpu

import (
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// containerID matches the ID that docker, podman, containerd and cri-o put into a cgroup's name.
var containerID = regexp.MustCompile(`(?:^|[-/:])([0-9a-f]{64})(?:\.scope)?$`)

// Identify reads a process's name, unit and container from proc, the host's /proc. For a process that has ended
// meanwhile both are empty.
func Identify(proc fs.FS, pid int) (name string, holder Holder) {
	dir := strconv.Itoa(pid)
	if comm, err := fs.ReadFile(proc, path.Join(dir, "comm")); err == nil {
		name = strings.TrimSpace(string(comm))
	}
	cgroups, err := fs.ReadFile(proc, path.Join(dir, "cgroup"))
	if err != nil {
		return name, Holder{}
	}
	return name, parseCgroup(string(cgroups))
}

// parseCgroup parses /proc/<pid>/cgroup: lines "id:controllers:path". The unified hierarchy ("0::") and systemd's own
// ("name=systemd") contain the unit names.
func parseCgroup(text string) Holder {
	var holder Holder
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		where := parts[2]
		for dir := where; dir != "/" && dir != "."; dir = path.Dir(dir) {
			if match := containerID.FindStringSubmatch(dir); match != nil && holder.Container == "" {
				holder.Container = match[1]
			}
		}
		if parts[1] != "" && parts[1] != "name=systemd" || holder.Unit != "" {
			continue
		}
		holder.Unit, holder.UserUnit = innermost(where)
	}
	return holder
}

// innermost returns the innermost service or scope of a cgroup: a user's own service is below user@1000.service.
func innermost(where string) (unit string, user bool) {
	for dir := where; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if base := path.Base(dir); strings.HasSuffix(base, ".service") || strings.HasSuffix(base, ".scope") {
			return base, strings.Contains(path.Dir(dir), "/user@")
		}
	}
	return "", false
}
