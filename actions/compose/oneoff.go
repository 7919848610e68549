package compose

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/text"
)

// PortVar is a variable for the configured environment of a one-off container: $RETRAIND_PORT is replaced by the port
// on which the container must listen.
const PortVar = "RETRAIND_PORT"

// Beside configures a one-off container of the candidate's image that runs beside the service.
type Beside struct {
	Name string `json:"name"` // of the container; unique to the run
	// Port is the service's port in its container; 0 means the one that the running container publishes.
	Port int               `json:"port,omitempty"`
	Env  map[string]string `json:"env,omitempty"`
	// Asked is the URL of the deployed service: its port selects one of several published ports.
	Asked string `json:"asked"`
}

// OneOff is a container of the candidate's image that runs beside the service.
type OneOff struct {
	Address string // its host and port
	engine  *docker.Client
	name    string
}

// RunBeside builds the candidate's image and runs one container of it under another name and port. The service's own
// container is not touched. RunBeside returns once the new container answers.
func RunBeside(ctx context.Context, j job.Job, in Input, b Beside) (*OneOff, error) {
	d, err := deploymentOf(ctx, j, in)
	if err != nil {
		return nil, err
	}
	if d.trace.Built == "" {
		if err := d.buildCandidate(ctx); err != nil {
			return nil, err
		}
	}
	o := &OneOff{engine: d.engine, name: b.Name}
	if err := o.engine.Remove(ctx, b.Name); err != nil { // left by a killed attempt
		return nil, err
	}
	args, env, port, err := d.besides(b)
	if err != nil {
		return nil, err
	}
	named, err := d.cli.withImage(j.Dir, d.Name, d.kept(in.Candidate.Digest), env)
	if err != nil {
		return nil, err
	}
	j.Progress(0.1, "starting a container of the candidate's image")
	if err := named.run(ctx, append(args, d.Name)...); err != nil {
		o.Close()
		return nil, err
	}
	if err := o.await(ctx, d, port); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// besides returns the arguments of `compose run`, the container's additional environment, and the port that it will listen
// on: a free port of the host if the service uses the host's network.
func (d *deployment) besides(b Beside) (args []string, env map[string]string, port int, err error) {
	args, port = []string{"run", "-d", "--no-deps", "--name", b.Name}, b.Port
	host := d.now != nil && d.now.Network == "host"
	switch {
	case host:
		free, err := freePort()
		if err != nil {
			return nil, nil, 0, err
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(b.Env)), func(v string) bool { return strings.Contains(v, "$"+PortVar) }) {
			return nil, nil, 0, fmt.Errorf("compose: service %s uses the host's network, where its port is taken: add env: {PORT: $%s} to the step predict, with the name of the variable from which the service reads its port",
				d.Name, PortVar)
		}
		port = free
	case port == 0:
		if port, err = d.inside(b.Asked); err != nil {
			return nil, nil, 0, err
		}
	}
	env = map[string]string{}
	for name, value := range b.Env {
		env[name] = strings.ReplaceAll(value, "$"+PortVar, strconv.Itoa(port))
	}
	if !host {
		args = append(args, "--publish", fmt.Sprintf("127.0.0.1::%d", port))
	}
	return args, env, port, nil
}

// inside returns the port in the service's container that is published as the port of the URL.
func (d *deployment) inside(asked string) (int, error) {
	u, err := url.Parse(asked)
	if err != nil {
		return 0, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if d.now != nil {
		for _, p := range d.now.Ports {
			if strconv.Itoa(p.Host) == port {
				return p.Container, nil
			}
		}
	}
	return 0, fmt.Errorf("compose: no container of service %s publishes the port of %s: add port: to the step predict, with the port that the service listens on in its container",
		d.Name, text.URL(asked))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// await waits until the container answers, and sets o.Address.
func (o *OneOff) await(ctx context.Context, d *deployment, port int) error {
	within := d.Within
	if within == 0 {
		within = defaultWithin
	}
	timed, stop := context.WithTimeout(ctx, within)
	defer stop()
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for {
		c, err := o.engine.Container(timed, o.name)
		switch {
		case err != nil && timed.Err() == nil:
			return err
		case err == nil && !c.Running() && c.State != "created":
			return fmt.Errorf("compose: the container of the candidate's image ended with exit status %d%s", c.ExitCode,
				d.said(ctx, c))
		case err == nil:
			o.Address = address(c, port)
			if err = o.answers(timed, d.in.Health); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timed.Done():
			return fmt.Errorf("compose: the container of the candidate's image does not answer after %s: %w%s", within, err,
				d.said(ctx, c))
		case <-tick.C:
		}
	}
}

// address returns the address of a container: its published port, else its own address.
func address(c docker.Container, port int) string {
	host, at := "127.0.0.1", port
	for _, p := range c.Ports {
		if p.Container == port {
			return net.JoinHostPort(host, strconv.Itoa(p.Host))
		}
	}
	if c.Network != "host" && len(c.Addresses) > 0 { // an internal network publishes no ports
		host = c.Addresses[0]
	}
	return net.JoinHostPort(host, strconv.Itoa(at))
}

// answers checks the container once: with a request to the path of the service's health URL, or, if there is none, by
// opening a TCP connection.
func (o *OneOff) answers(ctx context.Context, health string) error {
	if health == "" {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", o.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	to, err := o.Redirect(health)
	if err != nil {
		return err
	}
	return get(ctx, to)
}

// Redirect turns a URL of the service into one of this container.
func (o *OneOff) Redirect(to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", err
	}
	u.Scheme, u.Host = "http", o.Address
	return u.String(), nil
}

// Close removes the container.
func (o *OneOff) Close() {
	ctx, stop := context.WithTimeout(context.Background(), 8*time.Second) // shorter than the grace period of a stopped step
	defer stop()
	if err := o.engine.Remove(ctx, o.name); err != nil {
		fmt.Println("the container of the candidate's image could not be removed:", err)
	}
	o.engine.Close()
}

// RemoveBeside removes a one-off container left by a killed step.
func RemoveBeside(ctx context.Context, name string) error {
	engine, err := docker.New("")
	if err != nil {
		return err
	}
	defer engine.Close()
	return engine.Remove(ctx, name)
}
