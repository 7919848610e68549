package gpu

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/retraind/retraind/internal/text"
)

const (
	dockerSocket = "/var/run/docker.sock"
	// OllamaURL is the default URL of Ollama.
	OllamaURL = "http://127.0.0.1:11434"

	askPatience = 500 * time.Millisecond
	largestPage = 1 << 20
)

// Namer asks Docker and Ollama, with read-only requests, for the owners of processes. If they do not answer, only the
// information from /proc is used. It is safe for concurrent use.
type Namer struct {
	Docker string        // socket; "" for no requests
	Ollama func() string // URL, which a reload may change; nil for no requests
	// Patience is how long all requests of one call may take; 0 means 500 ms.
	Patience time.Duration

	mu       sync.Mutex // guards compose
	compose  map[string]composeName
	ofDocker http.Client
	once     sync.Once
}

// DockerSocket returns the Unix socket of the Docker engine: that of DOCKER_HOST, else the default one. It returns ""
// if DOCKER_HOST is no Unix socket.
func DockerSocket() string {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		return dockerSocket
	}
	socket, _ := strings.CutPrefix(host, "unix://")
	if socket == host {
		return ""
	}
	return socket
}

// composeName is the compose project and service of a container; empty for other containers.
type composeName struct{ project, service string }

// Complete fills in compose services and Ollama's models.
func (n *Namer) Complete(ctx context.Context, devices []Device) {
	ctx, stop := context.WithTimeout(ctx, cmp.Or(n.Patience, askPatience))
	defer stop()
	var runners []*Process
	for i := range devices {
		for j := range devices[i].Processes {
			p := &devices[i].Processes[j]
			if p.Container != "" {
				c := n.container(ctx, p.Container)
				p.Project, p.Service = c.project, c.service
			}
			if strings.HasPrefix(p.Name, "ollama") {
				runners = append(runners, p)
			}
		}
	}
	if len(runners) > 0 && n.Ollama != nil {
		n.models(ctx, runners)
	}
}

// container returns a container's compose project and service. It asks Docker only if it has no earlier answer.
func (n *Namer) container(ctx context.Context, id string) composeName {
	n.mu.Lock()
	known, ok := n.compose[id]
	n.mu.Unlock()
	if ok || n.Docker == "" {
		return known
	}
	n.once.Do(func() {
		n.ofDocker.Transport = &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", n.Docker)
			},
		}
	})
	var answer struct {
		Config struct{ Labels map[string]string }
	}
	err := get(ctx, &n.ofDocker, "http://docker/containers/"+id+"/json", &answer)
	if err != nil && !errors.Is(err, errForbidden) {
		return composeName{}
	}
	labels := answer.Config.Labels
	known = composeName{labels["com.docker.compose.project"], labels["com.docker.compose.service"]}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.compose == nil || len(n.compose) > 1000 { // limited, since containers come and go
		n.compose = map[string]composeName{}
	}
	n.compose[id] = known
	return known
}

// ollamaModel is one loaded model in the answer of Ollama's /api/ps.
type ollamaModel struct {
	Name     string `json:"name"`
	SizeVRAM int64  `json:"size_vram"`
}

// models pairs Ollama's loaded models with its runners by size, since Ollama does not report which runner has which
// model. If their counts differ, no runner gets a name, because it could be the wrong one.
func (n *Namer) models(ctx context.Context, runners []*Process) {
	var answer struct {
		Models []ollamaModel `json:"models"`
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if err := get(ctx, &client, strings.TrimSuffix(n.Ollama(), "/")+"/api/ps", &answer); err != nil {
		return
	}
	loaded := answer.Models[:0]
	for _, m := range answer.Models {
		if m.SizeVRAM > 0 {
			loaded = append(loaded, m)
		}
	}
	if len(loaded) != len(runners) {
		return
	}
	slices.SortStableFunc(loaded, func(a, b ollamaModel) int { return cmp.Compare(b.SizeVRAM, a.SizeVRAM) })
	slices.SortStableFunc(runners, func(a, b *Process) int { return cmp.Compare(b.Used.Size, a.Used.Size) })
	for i, p := range runners {
		p.Model = loaded[i].Name
	}
}

// errForbidden is the answer of `retraind docker-helper` for a container that belongs to no configured service. The
// Namer does not ask again for this container.
var errForbidden = errors.New("the docker helper refuses to describe this container")

func get(ctx context.Context, client *http.Client, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusForbidden {
		return errForbidden
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", text.URL(url), response.Status)
	}
	return json.NewDecoder(io.LimitReader(response.Body, largestPage)).Decode(into)
}
