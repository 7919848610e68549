package compose

import (
	"context"
	"slices"

	"github.com/retraind/retraind/actions/docker"
)

// build builds the service's image and tags it.
func (s *site) build(ctx context.Context, dir, image string) error {
	named, err := s.cli.withImage(dir, s.Name, image, nil)
	if err != nil {
		return err
	}
	return named.run(ctx, "build", s.Name)
}

// exchangeContainer replaces the service's container with a new one, of the image that the compose file names.
func (s *site) exchangeContainer(ctx context.Context) error { return s.up(ctx, recreate) }

const recreate = "--force-recreate"

// up recreates the service's container if needed, and starts it.
func (s *site) up(ctx context.Context, more ...string) error {
	if err := s.removeUnfinished(ctx); err != nil {
		return err
	}
	return s.cli.run(ctx, s.bringUp(more...)...)
}

// bringUp returns the arguments for compose to start this service, without its dependencies.
func (s *site) bringUp(more ...string) []string {
	args := append([]string{"up", "-d", "--no-build", "--no-deps"}, more...)
	if s.cli.pulls {
		args = append(args, "--pull", "never")
	}
	return append(args, s.Name)
}

// removeUnfinished removes containers that a killed `up` of compose version 2 has created as a replacement but never
// started. The next `up` would keep such a container, remove the one in service, and then fail, since it gives both the
// same name. If the service has no other container, an unfinished one stays: it may hold the only copy of a volume.
func (s *site) removeUnfinished(ctx context.Context) error {
	all, err := s.engine.Containers(ctx, s.Project, s.Name)
	if err != nil {
		return err
	}
	unfinished := func(c docker.Container) bool { return c.State == "created" && c.Labels[docker.LabelReplace] != "" }
	if !slices.ContainsFunc(all, func(c docker.Container) bool { return !unfinished(c) }) {
		return nil
	}
	for _, c := range all {
		if unfinished(c) {
			if err := s.engine.Remove(ctx, c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
