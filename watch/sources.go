package watch

import (
	"context"
	"errors"

	"github.com/retraind/retraind/internal/check"
)

// CheckSources asks what each source of a model names whether it can be followed: for check, doctor and init. The paths
// of its findings are keys of the labels section.
func CheckSources(ctx context.Context, model string, c *Config) check.Problems {
	var found check.Problems
	if c.Postgres != nil {
		found.Under("postgres", Check(ctx, model, c.Postgres))
	}
	if c.Files != nil {
		found.Under("files", problemOf("dir", c.Files.probe()))
	}
	if c.HTTP != nil {
		found.Under("http", problemOf("secret_file", c.HTTP.probe()))
	}
	return found
}

// problemOf turns trouble into a finding; nil gives none.
func problemOf(path string, err error) (found check.Problems) {
	if err == nil {
		return nil
	}
	hint := ""
	var fault *Fault
	if errors.As(err, &fault) {
		hint, err = fault.Cure, errors.New(fault.Cause)
	}
	found.Errorf(path, hint, "%s", redact(err))
	return found
}
