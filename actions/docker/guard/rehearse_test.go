package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/docker/guard"
	"github.com/retraind/retraind/internal/dockertest"
)

// A request below OnlyDecide never reaches the engine, whatever the guard decides.
func TestOnlyDecide(t *testing.T) {
	t.Parallel()
	w, e := recorded(t)
	body, err := json.Marshal(same(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{http.MethodPost, "/v1.41/containers/create?name=x", string(body), http.StatusAccepted},
		{http.MethodPost, "/v1.41/containers/c1/stop", "", http.StatusAccepted},
		{http.MethodPost, "/v1.41/build?t=suite-api", "", http.StatusAccepted},
		{http.MethodPost, "/v1.41/build?t=other", "", http.StatusForbidden},
		{http.MethodPost, "/v1.41/containers/create?name=x", `{"Image": "suite-api"}`, http.StatusForbidden},
		{http.MethodGet, "/service?dir=/srv/suite&name=api", "", http.StatusAccepted},
		{http.MethodGet, "/service?dir=/srv/other&name=api", "", http.StatusForbidden},
	} {
		status, said := w.send(c.method, guard.OnlyDecide+c.path, c.body)
		if status != c.want {
			t.Errorf("%s: %d %s", c.path, status, said)
		}
		if got := e.take(); got != "" {
			t.Errorf("%s: the engine got %s", c.path, got)
		}
	}
	if status, _ := w.send(http.MethodGet, "/service?dir=/srv/suite&name=api", ""); status != http.StatusForbidden {
		t.Errorf("a question about a service is passed on: %d", status)
	}
}

// A program that requests changes changes nothing, and Rehearse returns what the guard would refuse.
func TestRehearse(t *testing.T) {
	t.Parallel()
	w, e := recorded(t)
	body, err := json.Marshal(same(t))
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(body), `"Privileged":false`, `"Privileged":true`, 1)
	var got []int
	refused, err := guard.Rehearse(t.Context(), strings.TrimPrefix(w.host, "unix://"), func(_ context.Context, host string) {
		program := dial(t, strings.TrimPrefix(host, "unix://"))
		for _, r := range [][3]string{
			{http.MethodGet, "/v1.41/containers/c1/json", ""},
			{http.MethodPost, "/v1.41/containers/c1/stop", ""},
			{http.MethodPost, "/v1.41/containers/create?name=x", string(body)},
			{http.MethodPost, "/v1.41/containers/create?name=x", more},
			{http.MethodDelete, "/v1.41/containers/c1", ""},
		} {
			status, _ := program.send(r[0], r[1], r[2])
			got = append(got, status)
		}
	})
	if diff := cmp.Diff([]int{200, 204, 503, 403, 503}, got); diff != "" || err != nil {
		t.Errorf("%v: answers (-want +got):\n%s", err, diff)
	}
	if len(refused) != 1 || refused[0].Request != "POST containers/create" || !strings.Contains(refused[0].Why, "privileged is true") {
		t.Errorf("%+v", refused)
	}
	if calls := e.take(); calls != "" {
		t.Errorf("the engine got %s", calls)
	}
	if why, err := guard.Refuses(t.Context(), strings.TrimPrefix(w.host, "unix://"),
		guard.Service{Dir: "/srv/suite", Name: "db"}); err != nil || !strings.Contains(why, "not one of the configured services") {
		t.Errorf("%q, %v", why, err)
	}
}

func TestNoGuard(t *testing.T) {
	t.Parallel()
	e := dockertest.Start(t)
	_, err := guard.Refuses(t.Context(), strings.TrimPrefix(e.Host, "unix://"), guard.Service{Dir: "/srv/suite", Name: "api"})
	if !errors.Is(err, guard.ErrNoGuard) {
		t.Error(err)
	}
	if _, err := guard.Refuses(t.Context(), "/nowhere/docker.sock", guard.Service{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
