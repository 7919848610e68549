package compose

import (
	"context"
	"os"
)

// Rehearse runs the commands of a deployment against a fake engine that changes nothing: build, up, and a container
// beside the service if requested. Their failures are expected and ignored; an error means that the service was not
// found.
func (s Service) Rehearse(ctx context.Context, host string, beside bool) error {
	found, err := find(ctx, s)
	if err != nil {
		return err
	}
	defer found.engine.Close()
	dir, err := os.MkdirTemp("", "retraind-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	found.cli.host = host
	try := func(c cli, args ...string) { _, _ = c.output(ctx, args...) }
	if s.Build {
		named, err := found.cli.withImage(dir, s.Name, found.kept("check"), nil)
		if err != nil {
			return err
		}
		try(named, "build", s.Name)
	}
	if beside {
		try(found.cli, "run", "-d", "--no-deps", "--name", "retraind-check", "--publish", "127.0.0.1::8080", s.Name)
	}
	try(found.cli, found.bringUp(recreate)...)
	return nil
}
