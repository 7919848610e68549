package compose

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/text"
)

const (
	defaultWithin = 2 * time.Minute
	waitPoll      = 200 * time.Millisecond
	maxRestarts   = 3
)

// wanted describes the container to wait for.
type wanted struct {
	not   string    // id of the former container, which must have been replaced
	image string    // id of the image that the container must have
	since time.Time // the container must have been started later
	url   string    // answers 200 once the service is up; "" for none
}

// await waits until the new container is healthy: by its own health check if it has one, and by the service's health
// URL. It fails at once if the container ended, has another image, or is unhealthy.
func (s *site) await(ctx context.Context, w wanted) (docker.Container, error) {
	within := s.Within
	if within == 0 {
		within = defaultWithin
	}
	timed, stop := context.WithTimeout(ctx, within)
	defer stop()
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	last := "no container runs"
	var seen docker.Container
	for {
		c, why, err := s.healthy(timed, w)
		if err != nil {
			return c, err
		}
		if why == "" {
			return c, nil
		}
		if timed.Err() == nil {
			last, seen = why, c
		}
		select {
		case <-ctx.Done():
			return c, context.Cause(ctx)
		case <-timed.Done():
			return c, fmt.Errorf("compose: service %s is not healthy after %s: %s%s", s.Name, within, last, s.said(ctx, seen))
		case <-tick.C:
		}
	}
}

// healthy checks once. It returns why the container is not healthy yet, and an error if it never will be.
func (s *site) healthy(ctx context.Context, w wanted) (docker.Container, string, error) {
	if err := s.look(ctx); err != nil {
		return docker.Container{}, err.Error(), nil //nolint:nilerr // an engine that does not answer may come back
	}
	if s.now == nil {
		return docker.Container{}, "it has no container", nil
	}
	c := *s.now
	switch {
	case c.ID == w.not:
		return c, "the former container was not replaced yet", nil
	case w.image != "" && c.Image != w.image:
		return c, "", fmt.Errorf("compose: container %s was created from image %s (%s), not from image %s of the release: does another compose file use the same image name?",
			c.Name, docker.Short(c.Image), c.ImageName, docker.Short(w.image))
	case c.State == "exited" || c.State == "dead":
		return c, "", fmt.Errorf("compose: container %s ended with exit status %d%s", c.Name, c.ExitCode, s.said(ctx, c))
	case c.Restarts >= maxRestarts:
		return c, "", fmt.Errorf("compose: container %s ended %d times, the last time with exit status %d%s", c.Name, c.Restarts,
			c.ExitCode, s.said(ctx, c))
	case !c.Running():
		return c, "container " + c.Name + " is " + c.State, nil
	case c.Health == docker.Unhealthy:
		return c, "", fmt.Errorf("compose: container %s is unhealthy: %s", c.Name, text.OneLine(c.HealthSaid, 300))
	case c.Health == docker.Starting:
		return c, "container " + c.Name + " is starting", nil
	case c.Started.Before(w.since):
		return c, "container " + c.Name + " was started before the deployment", nil
	}
	if w.url != "" {
		if err := get(ctx, w.url); err != nil {
			return c, err.Error(), nil //nolint:nilerr // a service that starts may not answer yet
		}
	}
	return c, "", nil
}

// said returns the last line of a container's output, as the end of an error message. It also prints the last 20 lines.
func (s *site) said(ctx context.Context, c docker.Container) string {
	if c.ID == "" {
		return ""
	}
	output, err := s.engine.Logs(context.WithoutCancel(ctx), c.ID, 20)
	if err != nil || output == "" {
		return ""
	}
	fmt.Println(output) // into the step's output
	lines := strings.Split(output, "\n")
	return ": " + text.OneLine(lines[len(lines)-1], 300)
}

var prober = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true}, // a new connection each time, as from a new client
}

// get requests a health URL once, and fails unless it answers 200.
func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := prober.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", text.URL(url), resp.Status)
	}
	return nil
}
