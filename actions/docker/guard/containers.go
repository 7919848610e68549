package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelOneOff  = "com.docker.compose.oneoff"
	labelDir     = "com.docker.compose.project.working_dir"
)

// containers decides on requests for containers.
func (q *request) containers() (http.HandlerFunc, error) {
	switch {
	case len(q.parts) == 2 && q.parts[1] == "json" && q.Method == http.MethodGet:
		return q.list, nil
	case len(q.parts) == 2 && q.parts[1] == "create" && q.Method == http.MethodPost:
		return q.create()
	case len(q.parts) < 2 || len(q.parts) > 3:
		return nil, errNotAllowed
	}
	what := q.Method
	if len(q.parts) == 3 {
		what += " " + q.parts[2]
	}
	known := map[string][]string{ // allowed query parameters by request
		"GET json": {"size"}, "GET logs": {"stdout", "stderr", "tail", "since", "until", "timestamps", "follow", "details"},
		"POST start": {}, "POST stop": {"t", "signal"}, "POST restart": {"t", "signal"}, "POST kill": {"signal"},
		"POST wait": {"condition"}, "POST rename": {"name"}, "DELETE": {"v", "force"},
	}
	parameters, ok := known[what]
	if !ok {
		return nil, errNotAllowed
	}
	if err := q.only(parameters...); err != nil {
		return nil, err
	}
	if what == "POST rename" && !name.MatchString(strings.TrimPrefix(q.query.Get("name"), "/")) {
		return nil, errNotAllowed
	}
	found, _, err := q.own(q.parts[1])
	if err != nil {
		return nil, err
	}
	return q.pass(append([]string{"containers", found.ID}, q.parts[2:]...)...)
}

// inspected is the engine's description of a container.
type inspected struct {
	ID     string `json:"Id"`
	Image  string
	Config struct {
		Image  string
		Labels map[string]string
	}
	State      struct{ Status string }
	HostConfig map[string]any
	Mounts     []struct{ Type, Name, Destination string }

	NetworkSettings struct{ Networks map[string]any }
}

// own looks up a container by id or name and returns it with the recorded rights of its service. It returns an error if
// the container belongs to no configured service. It first records the rights of this container as the service's,
// unless `compose run` has created it or it has not started yet: compose may still connect it with more networks.
func (q *request) own(id string) (inspected, *precedent, error) {
	var c inspected
	if !name.MatchString(id) {
		return c, nil, errNotAllowed
	}
	if err := q.guard.ask(q.Context(), q.version+"/containers/"+id+"/json", &c); err != nil {
		return c, nil, err
	}
	s, ok := q.guard.configured(c.Config.Labels)
	if !ok {
		return c, nil, fmt.Errorf("container %s belongs to none of the configured services", id)
	}
	if !oneOff(c.Config.Labels) && c.State.Status != "created" {
		q.guard.remember(s, precedentOf(c))
	}
	if known := q.guard.remembered(s); known != nil {
		return c, known, nil
	}
	return c, &precedent{}, nil
}

// oneOff reports whether a container was created by `docker compose run`.
func oneOff(labels map[string]string) bool { return strings.EqualFold(labels[labelOneOff], "true") }

// list lists the containers of the configured services, and no others.
func (q *request) list(w http.ResponseWriter, r *http.Request) {
	var all []map[string]any
	if err := q.guard.ask(r.Context(), q.version+"/containers/json?"+q.query.Encode(), &all); err != nil {
		q.guard.refuse(w, r, nil, err)
		return
	}
	shown := slices.DeleteFunc(all, func(c map[string]any) bool {
		labels := map[string]string{}
		given, _ := c["Labels"].(map[string]any)
		for key, value := range given {
			labels[key], _ = value.(string)
		}
		_, ok := q.guard.configured(labels)
		return !ok
	})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(append([]map[string]any{}, shown...))
}

// topLevel are the allowed top-level keys of a request to create a container. Those that affect rights on the host are
// checked further.
var topLevel = []string{
	"Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts", "Tty", "OpenStdin",
	"StdinOnce", "Env", "Cmd", "Healthcheck", "ArgsEscaped", "Image", "Volumes", "WorkingDir", "Entrypoint", "MacAddress",
	"NetworkDisabled", "OnBuild", "Labels", "StopSignal", "StopTimeout", "Shell", "HostConfig", "NetworkingConfig",
}

// create allows a container of a configured service if it has the service's image and the rights of the service's
// present container, or of the last one if there is none. A one-off container may have other ports and links.
func (q *request) create() (http.HandlerFunc, error) {
	if err := q.only("name", "platform"); err != nil {
		return nil, err
	}
	var body map[string]any
	if err := q.body(&body); err != nil {
		return nil, err
	}
	for key, value := range body {
		if !slices.Contains(topLevel, key) && !empty(value) {
			return nil, fmt.Errorf("key %q is not known", key)
		}
	}
	labels := map[string]string{}
	given, _ := body["Labels"].(map[string]any)
	for key, value := range given {
		labels[key], _ = value.(string)
	}
	s, ok := q.guard.configured(labels)
	if !ok {
		return nil, errors.New("the container has the labels of none of the configured services")
	}
	known, err := q.precedents(s)
	if err != nil {
		return nil, err
	}
	if err := known.allows(labels, body); err != nil {
		return nil, fmt.Errorf("a container of service %s: %w; bring the service up once by hand (docker compose up -d %[1]s), then retraind may replace its container",
			s.Name, err)
	}
	if oneOff(labels) {
		if err := q.links(body); err != nil {
			return nil, err
		}
	}
	image, _ := body["Image"].(string)
	if err := q.ownImage(image, s, known); err != nil {
		return nil, err
	}
	return q.pass(q.parts...)
}

// links returns an error if the new container would be linked to a container that belongs to no configured service.
// Version 1 of compose links a one-off container to its service.
func (q *request) links(body map[string]any) error {
	config, _ := body["HostConfig"].(map[string]any)
	for key, value := range config {
		if !strings.EqualFold(key, "Links") || empty(value) {
			continue
		}
		list, ok := value.([]any)
		if !ok {
			return errors.New("the key Links is not a list")
		}
		for _, link := range list {
			text, _ := link.(string)
			to, _, _ := strings.Cut(text, ":")
			if _, _, err := q.own(to); err != nil {
				return fmt.Errorf("link %s: %w", text, err)
			}
		}
	}
	return nil
}

// precedents returns the rights of a service: those of its present container or, if it has none, the recorded rights of
// its last one.
func (q *request) precedents(s Service) (*precedent, error) {
	filters, err := json.Marshal(map[string][]string{"label": {labelService + "=" + s.Name}})
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID, State string
		Labels    map[string]string
	}
	path := "/containers/json?all=1&filters=" + url.QueryEscape(string(filters))
	if err := q.guard.ask(q.Context(), q.version+path, &list); err != nil {
		return nil, err
	}
	for _, found := range list { // sorted: the newest first
		if of, ok := q.guard.configured(found.Labels); ok && of == s && !oneOff(found.Labels) && found.State != "created" {
			_, known, err := q.own(found.ID)
			return known, err
		}
	}
	if known := q.guard.remembered(s); known != nil {
		return known, nil
	}
	return nil, fmt.Errorf("service %s of %s has no container yet: bring the service up once by hand (docker compose up -d %[1]s)",
		s.Name, s.Dir)
}

// body decodes the request's JSON body into out. It then replaces the body with the encoding of out, so that the engine
// sees no duplicate keys.
func (q *request) body(out *map[string]any) error {
	text, err := io.ReadAll(io.LimitReader(q.Body, maxBody+1))
	if err != nil {
		return err
	}
	if len(text) > maxBody {
		return errors.New("the body is too long")
	}
	if err := decode(text, out); err != nil {
		return fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if err := spelledOnce(*out); err != nil {
		return err
	}
	text, err = json.Marshal(*out)
	if err != nil {
		return err
	}
	q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	q.TransferEncoding, q.bodied = nil, true
	q.Header.Set("Content-Type", "application/json")
	return nil
}

// spelledOnce returns an error if two keys differ only in case: the engine ignores case and would read them as one key.
func spelledOnce(m map[string]any) error {
	seen := map[string]bool{}
	for key := range m {
		if fold := strings.ToLower(key); seen[fold] {
			return fmt.Errorf("key %q is given twice", key)
		} else {
			seen[fold] = true
		}
	}
	return nil
}

func decode(text []byte, out any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(out)
}
