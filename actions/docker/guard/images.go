package guard

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions/compose"
)

// images decides on requests for images: all may be inspected, but only those of the services may be tagged and
// untagged.
func (q *request) images() (http.HandlerFunc, error) {
	last := q.parts[len(q.parts)-1]
	switch {
	case len(q.parts) < 2:
		return nil, errNotAllowed
	case len(q.parts) == 2 && last == "json", last == "json" && isImage(q.named()):
		return q.look()
	case q.Method == http.MethodPost && last == "tag" && len(q.parts) > 2 && isImage(q.named()):
		return q.tag()
	case q.Method == http.MethodDelete:
		return q.forget(strings.Join(q.parts[1:], "/"))
	}
	return nil, errNotAllowed
}

// named returns the image in a path such as images/a/b:tag/json.
func (q *request) named() string { return strings.Join(q.parts[1:len(q.parts)-1], "/") }

// tag allows tagging an image of a service with a name of that service.
func (q *request) tag() (http.HandlerFunc, error) {
	if err := q.only("repo", "tag"); err != nil {
		return nil, err
	}
	to := q.query.Get("repo")
	if tag := q.query.Get("tag"); tag != "" {
		to += ":" + tag
	}
	s, known, err := q.namedBy(to)
	if err != nil {
		return nil, err
	}
	if err := q.ownImage(q.named(), s, known); err != nil {
		return nil, err
	}
	return q.pass(q.parts...)
}

// forget allows removing a name that retraind has given to an image.
func (q *request) forget(image string) (http.HandlerFunc, error) {
	if err := q.only("noprune"); err != nil {
		return nil, err
	}
	s, known, err := q.namedBy(image)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(image, compose.Repository(known.Project, s.Name)+":") {
		return nil, fmt.Errorf("retraind did not create the image name %s", image)
	}
	return q.pass(q.parts...)
}

// namedBy returns the configured service that uses an image name, and the rights of that service.
func (q *request) namedBy(image string) (Service, *precedent, error) {
	if !isImage(image) || strings.Contains(image, "@") {
		return Service{}, nil, errNotAllowed
	}
	for _, s := range q.guard.config.Services {
		known, err := q.precedents(s)
		var away *engineError
		switch {
		case errors.As(err, &away):
			return s, nil, err
		case err == nil && known.names(s, image):
			return s, known, nil
		}
	}
	return Service{}, nil, fmt.Errorf("%s is not the name of an image of a configured service", image)
}

// names reports whether the service uses an image name: a name that retraind gives to the service's releases, or the
// name from which its container was created.
func (p *precedent) names(s Service, image string) bool {
	if image == "" || strings.HasPrefix(p.Named, "sha256:") && image == p.Named {
		return false
	}
	return strings.HasPrefix(image, compose.Repository(p.Project, s.Name)+":") || withTag(image) == withTag(p.Named)
}

func withTag(image string) string {
	if !strings.Contains(image[strings.LastIndexByte(image, '/')+1:], ":") {
		return image + ":latest"
	}
	return image
}

// ownImage returns an error unless the image is that of the service's container, or has a name that the service uses.
func (q *request) ownImage(image string, s Service, known *precedent) error {
	if !isImage(image) {
		return fmt.Errorf("%q cannot name an image", image)
	}
	var found struct {
		ID       string `json:"Id"`
		RepoTags []string
	}
	if err := q.guard.ask(q.Context(), q.version+"/images/"+image+"/json", &found); err != nil {
		return err
	}
	if found.ID != known.Image && !slices.ContainsFunc(found.RepoTags, func(n string) bool { return known.names(s, n) }) {
		return fmt.Errorf("image %s does not belong to service %s", image, s.Name)
	}
	return nil
}

// buildParameters are the allowed parameters of a build. With the values that the method build allows, they do not affect
// rights on the host.
var buildParameters = []string{
	"t", "q", "nocache", "rm", "forcerm", "dockerfile", "buildargs", "labels", "memory", "memswap", "cpushares", "cpusetcpus",
	"cpuperiod", "cpuquota", "shmsize", "target", "cachefrom", "platform", "extrahosts", "ulimits", "version", "networkmode",
	"pull", "remote", "squash",
}

// build allows building an image of a service from a context that the client sends. Only the classic builder is
// allowed, because BuildKit's protocol cannot be inspected.
func (q *request) build() (http.HandlerFunc, error) {
	if q.Method != http.MethodPost {
		return nil, errNotAllowed
	}
	if err := q.only(buildParameters...); err != nil {
		return nil, err
	}
	for key, allowed := range map[string][]string{
		"version": {"", "1"}, "pull": no, "remote": no, "squash": no, "networkmode": {"", "default", "none", "bridge"},
	} {
		if !slices.Contains(allowed, q.query.Get(key)) {
			hint := ""
			if key == "version" {
				hint = " (set DOCKER_BUILDKIT=0)"
			}
			return nil, fmt.Errorf("a build with %s=%s is not allowed%s", key, q.query.Get(key), hint)
		}
	}
	if q.query.Get("remote") != "" {
		q.query.Del("remote")
	}
	names := q.query["t"]
	if len(names) == 0 {
		return nil, errors.New("a build needs a name for its image")
	}
	for _, n := range names {
		if _, _, err := q.namedBy(n); err != nil {
			return nil, err
		}
	}
	q.bodied = true
	q.Header.Set("Content-Type", "application/x-tar") // never a form, which the engine would read as parameters
	return q.pass(q.parts...)
}
