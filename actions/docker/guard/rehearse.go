package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// OnlyDecide is a prefix of paths. A guard never forwards a request whose path has it: it answers 202 if it would
// forward the request without the prefix, and 403 if it would refuse it. An engine or a guard of an earlier version
// rejects such a path, so that nothing is changed there either.
const OnlyDecide = "/retraind/decide"

// servicePath is a path below OnlyDecide. A request to it asks whether the guard allows changes of a service.
const servicePath = "/service"

// service returns an error if the service in the query may not be changed.
func (q *request) service() error {
	dir, name, project := q.query.Get("dir"), q.query.Get("name"), q.query.Get("project")
	i := slices.IndexFunc(q.guard.config.Services, func(s Service) bool {
		return s.Name == name && samePath(s.Dir, dir) && (s.Project == "" || project == "" || s.Project == project)
	})
	if i < 0 {
		return fmt.Errorf("service %s of %s is not one of the configured services", name, dir)
	}
	_, err := q.precedents(q.guard.config.Services[i])
	return err
}

// ErrNoGuard means that an engine answers on the socket instead of a guard. An engine refuses nothing.
var ErrNoGuard = errors.New("the socket is that of a Docker engine, not of the docker helper")

// Refusal is a request that a guard would refuse.
type Refusal struct {
	Request string // such as "POST containers/create"
	Why     string
}

// Refuses returns why the guard behind a socket would refuse changes of a service; "" if it would allow them.
func Refuses(ctx context.Context, socket string, s Service) (string, error) {
	in, err := newStandIn(ctx, socket)
	if err != nil {
		return "", err
	}
	query := url.Values{"dir": {s.Dir}, "name": {s.Name}, "project": {s.Project}}
	status, said, err := in.ask(ctx, http.MethodGet, servicePath+"?"+query.Encode(), nil)
	switch {
	case err != nil || status == http.StatusAccepted:
		return "", err
	case status == http.StatusForbidden:
		return said, nil
	}
	return "", errors.New(said)
}

// Rehearse calls the function run with the address of a fake engine in front of a guard's socket, and returns the
// requests that the guard would refuse. Requests that change nothing are answered by the engine; for each change the
// guard is asked for its decision, and the change is not made. A program that run starts therefore fails, at the latest
// when it reads the result of its change.
func Rehearse(ctx context.Context, socket string, run func(ctx context.Context, host string)) ([]Refusal, error) {
	s, err := newStandIn(ctx, socket)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "retraind-") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	at := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", at)
	if err != nil {
		return nil, err
	}
	s.reads = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "docker", "docker"
		},
		Transport: s.client.Transport, FlushInterval: -1,
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	run(ctx, "unix://"+at)
	err = errors.Join(server.Close(), ctx.Err())
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return s.refused, err
}

// standIn is the fake engine: it changes nothing.
type standIn struct {
	client *http.Client
	reads  http.Handler

	mu      sync.Mutex
	refused []Refusal // guarded by mu
}

// newStandIn returns a fake engine in front of a guard's socket, or ErrNoGuard if an engine answers there.
func newStandIn(ctx context.Context, socket string) (*standIn, error) {
	s := &standIn{client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true, // the guard may answer before it has read the whole body
	}}}
	switch status, said, err := s.ask(ctx, http.MethodGet, "/_ping", nil); {
	case err != nil:
		return nil, err
	case status == http.StatusForbidden:
		return nil, fmt.Errorf("the running docker helper has a different version: restart it by systemctl restart retraind-docker.service (%s)",
			said)
	case status != http.StatusAccepted:
		return nil, ErrNoGuard
	}
	return s, nil
}

// ask requests the guard's decision on a request.
func (s *standIn) ask(ctx context.Context, method, target string, r *http.Request) (status int, said string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+OnlyDecide+target, nil)
	if err != nil {
		return 0, "", err
	}
	if r != nil {
		req.Header = r.Header.Clone()
		if !strings.HasSuffix(r.URL.Path, "/build") { // the decision on a build does not need its context
			req.Body, req.ContentLength = r.Body, r.ContentLength
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	var answer struct{ Message string }
	if json.Unmarshal(text, &answer) == nil {
		text = []byte(answer.Message)
	}
	said = strings.TrimPrefix(strings.TrimSpace(string(text)), prefix)
	return resp.StatusCode, said, err
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		s.reads.ServeHTTP(w, r)
		return
	}
	status, said, err := s.ask(r.Context(), r.Method, r.URL.RequestURI(), r)
	switch {
	case err != nil:
		answer(w, http.StatusBadGateway, err.Error())
	case status == http.StatusForbidden:
		s.note(Refusal{r.Method + " " + unversioned(r.URL.Path), said})
		answer(w, status, prefix+said)
	case status != http.StatusAccepted:
		answer(w, status, said)
	case slices.Contains([]string{"stop", "rename", "kill", "disconnect", "connect"}, path.Base(r.URL.Path)):
		w.WriteHeader(http.StatusNoContent) // version 1 of compose sends these before it creates the new container
	default:
		answer(w, http.StatusServiceUnavailable, "retraind check: test only, nothing is changed")
	}
}

func (s *standIn) note(r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.refused, r) {
		s.refused = append(s.refused, r)
	}
}

func unversioned(at string) string {
	if m := versioned.FindStringSubmatch(at); m != nil {
		at = m[2]
	}
	return strings.TrimPrefix(at, "/")
}
