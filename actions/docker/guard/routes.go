package guard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldestAPI is the minor number of the oldest accepted API version, 1.24. In earlier versions the body of a start
// request can change a container's rights.
const oldestAPI = 24

var (
	versioned = regexp.MustCompile(`^/v1\.([0-9]{1,3})(/.*)$`)
	// name matches a name or id of a container, network or volume.
	name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$`)
	// imageName matches the name of an image, with a tag, or an id.
	imageName = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9_./:@-]{0,400}$`)
)

// isImage reports whether a text can be an image's name or id, and cannot lead to another path of the API.
func isImage(s string) bool {
	return imageName.MatchString(s) && !strings.Contains(s, "..") && !strings.Contains(s, "//") && !strings.Contains(s, "/.")
}

var errNotAllowed = errors.New("retraind never sends such a request")

// route decides on a request. It returns the handler that forwards the request, or an error if it is refused. If `only`
// is set, the request may also be the question whether a service may be changed (see servicePath).
func (g *Guard) route(r *http.Request, only bool) (http.HandlerFunc, error) {
	// The path that is checked must be the path that the engine gets: other spellings are refused.
	if r.URL.RawPath != "" || strings.Contains(r.URL.Path, "//") || strings.Contains(r.URL.Path, "/.") {
		return nil, errors.New("the path is not in canonical form")
	}
	path, version := r.URL.Path, ""
	if m := versioned.FindStringSubmatch(path); m != nil {
		if minor, err := strconv.Atoi(m[1]); err != nil || minor < oldestAPI {
			return nil, fmt.Errorf("version 1.%s of the API is too old", m[1])
		}
		path, version = m[2], "/v1."+m[1]
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	q := &request{Request: r, guard: g, version: version, query: query, parts: parts}
	switch what := parts[0]; {
	case only && path == servicePath:
		return nil, q.service()
	case len(parts) == 1 && slices.Contains([]string{"_ping", "version", "info"}, what):
		return q.look()
	case what == "containers":
		return q.containers()
	case what == "images":
		return q.images()
	case what == "build" && len(parts) == 1:
		return q.build()
	case what == "networks", what == "volumes":
		return q.networks()
	}
	return nil, errNotAllowed
}

// request is one request on which the guard decides.
type request struct {
	*http.Request
	guard   *Guard
	version string // "/v1.41", or ""
	query   url.Values
	parts   []string // of the path
	bodied  bool     // whether to forward the body
}

// pass returns a handler that forwards the request to a path of the engine, with the parsed query. It drops a body that
// was not checked, since the engine may read parameters from it.
func (q *request) pass(parts ...string) (http.HandlerFunc, error) {
	return func(w http.ResponseWriter, r *http.Request) {
		if !q.bodied {
			r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
			r.Header.Del("Content-Type")
		}
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = q.version+"/"+strings.Join(parts, "/"), "", q.query.Encode()
		q.guard.proxy.ServeHTTP(w, r)
	}, nil
}

// look forwards a request that changes nothing.
func (q *request) look() (http.HandlerFunc, error) {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		return nil, errNotAllowed
	}
	return q.pass(q.parts...)
}

// only returns an error if the query has a parameter that is not among the known ones, unless its value turns it off
// (see the variable no).
func (q *request) only(known ...string) error {
	for key, values := range q.query {
		if !slices.Contains(known, key) && slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(no, v) }) {
			return fmt.Errorf("the parameter %q is not among those that retraind and compose use", key)
		}
	}
	return nil
}

// no lists the values by which clients turn a parameter off.
var no = []string{"", "0", "false", "False", "None"}

// networks allows inspecting networks and volumes, disconnecting a service's container from a network, and connecting
// it with the networks of the service's recorded container.
func (q *request) networks() (http.HandlerFunc, error) {
	switch {
	case len(q.parts) == 1, len(q.parts) == 2 && name.MatchString(q.parts[1]):
		return q.look()
	case q.parts[0] != "networks" || len(q.parts) != 3 || q.Method != http.MethodPost ||
		q.parts[2] != "connect" && q.parts[2] != "disconnect" || !name.MatchString(q.parts[1]):
		return nil, errNotAllowed
	}
	var body map[string]any
	if err := q.body(&body); err != nil {
		return nil, err
	}
	id, _ := body["Container"].(string)
	_, known, err := q.own(id)
	if err != nil {
		return nil, err
	}
	var network struct{ Name string }
	if err := q.guard.ask(q.Context(), q.version+"/networks/"+q.parts[1], &network); err != nil {
		return nil, err
	}
	if q.parts[2] == "connect" && !slices.Contains(known.Networks, network.Name) {
		return nil, fmt.Errorf("network %s does not belong to the service", network.Name)
	}
	return q.pass(q.parts...)
}
