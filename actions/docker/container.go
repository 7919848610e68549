package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Labels that versions 1 and 2 of compose set on containers.
const (
	LabelProject = "com.docker.compose.project"
	LabelService = "com.docker.compose.service"
	LabelOneOff  = "com.docker.compose.oneoff"
	LabelDir     = "com.docker.compose.project.working_dir"
	LabelFiles   = "com.docker.compose.project.config_files"
	LabelReplace = "com.docker.compose.replace" // version 2: set on a container created to replace another one
)

// Health is the state of a container's own health check; "" if it has none.
type Health string

// The states of a health check.
const (
	NoHealth  Health = ""
	Starting  Health = "starting"
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
)

// Container is one container as the engine describes it.
type Container struct {
	ID        string
	Name      string
	Image     string // id of the image: "sha256:…"
	ImageName string // name of the image it was created from
	Labels    map[string]string
	State     string // created, running, paused, restarting, removing, exited or dead
	ExitCode  int
	Started   time.Time
	Health    Health
	// HealthSaid is the output of the last health check.
	HealthSaid string
	Restart    string // restart policy: no, always, unless-stopped or on-failure
	Restarts   int    // how often the policy has restarted the container
	AutoRemove bool   // the engine removes the container when it ends
	// StopTimeout is how long the container may take to end before the engine kills it, as set by its image or compose
	// file; 0 if unset.
	StopTimeout time.Duration
	// Network is host, none, or the name of the first network.
	Network   string
	Addresses []string // its addresses in its networks
	Ports     []Port
}

// Port is one port of a container that is published on the host.
type Port struct {
	Container int // port in the container, TCP
	Host      int
}

// Running reports whether the container runs.
func (c Container) Running() bool { return c.State == "running" }

// Project is the container's compose project, "" if docker compose did not create it.
func (c Container) Project() string { return c.Labels[LabelProject] }

// Service is the container's service in the compose file, "" if docker compose did not create it.
func (c Container) Service() string { return c.Labels[LabelService] }

// In reports whether docker compose created the container for a directory. Compose labels a container with the
// directory in which it was run, which may be a symbolic link.
func (c Container) In(dir string) bool {
	of := c.Labels[LabelDir]
	if of == dir {
		return true
	}
	a, errA := filepath.EvalSymlinks(of)
	b, errB := filepath.EvalSymlinks(dir)
	return errA == nil && errB == nil && a == b
}

// Containers lists the containers of one service in a compose project, running or not, the last started first, without
// those of `compose run`. If service is "", it lists the containers of all services.
func (c *Client) Containers(ctx context.Context, project, service string) ([]Container, error) {
	labels := []string{LabelProject + "=" + project}
	if service != "" {
		labels = append(labels, LabelService+"="+service)
	}
	return c.Labelled(ctx, labels...)
}

// Labelled lists the containers that have all of the labels ("name=value"), in the order of Containers and without
// those of `compose run`.
func (c *Client) Labelled(ctx context.Context, labels ...string) ([]Container, error) {
	filters, err := json.Marshal(map[string][]string{"label": labels})
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID      string
		Labels  map[string]string
		Created int64
	}
	query := url.Values{"all": {"1"}, "filters": {string(filters)}}
	op := "list the containers with " + strings.Join(labels, ", ")
	if err := c.call(ctx, op, http.MethodGet, "/containers/json", query, &list); err != nil {
		return nil, err
	}
	var out []Container
	for _, found := range list {
		if strings.EqualFold(found.Labels[LabelOneOff], "true") {
			continue
		}
		one, err := c.Container(ctx, found.ID)
		if isNotFound(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	slices.SortStableFunc(out, func(a, b Container) int { return cmp.Compare(b.Started.UnixNano(), a.Started.UnixNano()) })
	return out, nil
}

// inspected is the engine's answer about one container.
type inspected struct {
	ID           string `json:"Id"`
	Name         string
	Image        string
	RestartCount int
	Config       struct {
		Image       string
		Labels      map[string]string
		StopTimeout int // seconds
	}
	State struct {
		Status    string
		ExitCode  int
		StartedAt time.Time
		Health    *struct {
			Status Health
			Log    []struct{ Output string }
		}
	}
	HostConfig struct {
		NetworkMode   string
		RestartPolicy struct{ Name string }
		AutoRemove    bool
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
		Ports    map[string][]struct{ HostPort string }
	}
}

// Container returns one container by its id or name.
func (c *Client) Container(ctx context.Context, id string) (Container, error) {
	var in inspected
	path := "/containers/" + url.PathEscape(id) + "/json"
	if err := c.call(ctx, "inspect container "+Short(id), http.MethodGet, path, nil, &in); err != nil {
		return Container{}, err
	}
	out := Container{
		ID: in.ID, Name: strings.TrimPrefix(in.Name, "/"), Image: in.Image, ImageName: in.Config.Image,
		Labels: in.Config.Labels, State: in.State.Status, ExitCode: in.State.ExitCode, Started: in.State.StartedAt,
		Restart: cmp.Or(in.HostConfig.RestartPolicy.Name, "no"), Restarts: in.RestartCount,
		Network: in.HostConfig.NetworkMode, AutoRemove: in.HostConfig.AutoRemove,
		StopTimeout: time.Duration(in.Config.StopTimeout) * time.Second,
	}
	if h := in.State.Health; h != nil && h.Status != "none" {
		out.Health = h.Status
		if n := len(h.Log); n > 0 {
			out.HealthSaid = strings.TrimSpace(h.Log[n-1].Output)
		}
	}
	for _, n := range in.NetworkSettings.Networks {
		if n.IPAddress != "" {
			out.Addresses = append(out.Addresses, n.IPAddress)
		}
	}
	slices.Sort(out.Addresses)
	for name, bound := range in.NetworkSettings.Ports {
		number, proto, _ := strings.Cut(name, "/")
		inside, err := strconv.Atoi(number)
		if err != nil || proto != "tcp" {
			continue
		}
		for _, b := range bound {
			if outside, err := strconv.Atoi(b.HostPort); err == nil {
				out.Ports = append(out.Ports, Port{inside, outside})
			}
		}
	}
	slices.SortFunc(out.Ports, func(a, b Port) int { return cmp.Or(a.Container-b.Container, a.Host-b.Host) })
	out.Ports = slices.Compact(out.Ports) // the engine lists a port twice, for IPv4 and IPv6
	return out, nil
}

// Short returns the short form of an id.
func Short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}
