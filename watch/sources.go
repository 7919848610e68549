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
		found.Under("files", ProblemOf(c.Files.probe()))
	}
	if c.HTTP != nil {
		found.Under("http", ProblemOf(c.HTTP.probe()))
	}
	return found
}

// ProblemOf turns trouble with a source into a finding, its path a key of the source's section; nil gives none.
func ProblemOf(err error) (found check.Problems) {
	if err == nil {
		return nil
	}
	fault := &Fault{}
	if errors.As(err, &fault) {
		err = errors.New(fault.Cause)
	}
	found.Errorf(fault.Key, fault.Cure, "%s", redact(err))
	return found
}
