package dockertest

import (
	"errors"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
)

// Subject is an engine with a running service of docker compose: one container, which writes "ready" at its start and
// has the restart policy unless-stopped.
type Subject struct {
	Client           *docker.Client
	Project, Service string
	Image            string // name of the image that the container was created from
}

// Suite tests what package docker requires of an engine. The service is running at the end.
func Suite(t *testing.T, s Subject) {
	t.Helper()
	ctx, c := t.Context(), s.Client
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	list, err := c.Containers(ctx, s.Project, s.Service)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d containers: %v", len(list), err)
	}
	was := list[0]
	if !was.Running() || was.Project() != s.Project || was.Service() != s.Service || was.ImageName != s.Image ||
		was.Restart != "unless-stopped" || was.Started.IsZero() {
		t.Errorf("the container is %+v", was)
	}
	if all, err := c.Containers(ctx, s.Project, ""); err != nil || len(all) == 0 {
		t.Errorf("containers of the project: %v, %v", all, err)
	}
	if none, err := c.Containers(ctx, s.Project, "nobody"); err != nil || len(none) != 0 {
		t.Errorf("containers of another service: %v, %v", none, err)
	}
	if said, err := c.Logs(ctx, was.ID, 5); err != nil || said != "ready" {
		t.Errorf("output %q, %v", said, err)
	}

	for range 2 { // stopping twice is no error
		if err := c.Stop(ctx, was.ID, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if now, err := c.Container(ctx, was.ID); err != nil || now.Running() || now.State != "exited" {
		t.Errorf("stopped: %+v, %v", now, err)
	}
	for range 2 {
		if err := c.Start(ctx, was.ID); err != nil {
			t.Fatal(err)
		}
	}
	now, err := c.Container(ctx, was.ID)
	if err != nil || !now.Running() || !now.Started.After(was.Started) || now.Image != was.Image {
		t.Errorf("started: %+v, %v", now, err)
	}

	repository := "retraind/" + s.Project + "-" + s.Service
	kept := repository + ":first"
	if err := c.Tag(ctx, was.Image, kept); err != nil {
		t.Fatal(err)
	}
	if image, err := c.Image(ctx, kept); err != nil || image.ID != was.Image {
		t.Errorf("the image is %+v, %v", image, err)
	}
	if names, err := c.Names(ctx, repository); err != nil || len(names) != 1 || names[0] != kept {
		t.Errorf("names %q, %v", names, err)
	}
	for range 2 {
		if err := c.Untag(ctx, kept); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Image(ctx, kept); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("the name is gone: %v", err)
	}
	if _, err := c.Image(ctx, was.Image); err != nil {
		t.Errorf("the image stays: %v", err)
	}

	const nobody = "0123456789abcdef"
	if err := c.Remove(ctx, nobody); err != nil {
		t.Errorf("remove what is gone: %v", err)
	}
	for what, err := range map[string]error{
		"look":  func() error { _, err := c.Container(ctx, nobody); return err }(),
		"start": c.Start(ctx, nobody), "stop": c.Stop(ctx, nobody, time.Second), "tag": c.Tag(ctx, "no-such-image", kept),
	} {
		if !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
