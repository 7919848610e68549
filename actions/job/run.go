package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/store"
)

// Run is the main function of a child: it reads the input, does the work of one kind and writes the result. The caller
// prints Run's error to the step's output. If the work was interrupted, Run writes no result; the supervisor's record
// then says why the step ended.
func Run(ctx context.Context, kinds map[string]Work, kind, dir string) error {
	work, known := kinds[kind]
	if !known {
		return fmt.Errorf("step %s is unknown: this version has %s", kind, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	input, err := os.ReadFile(inputFile(dir))
	if err != nil {
		return fmt.Errorf("step %s: %w", kind, err)
	}
	result, err := work(ctx, Job{Dir: dir, Input: input})
	if err != nil {
		result = Result{Class: store.StepFailed, Detail: err.Error()}
		if runner.DiskFull(result.Detail) {
			result.Class = store.StepDiskFull
		}
	}
	switch {
	case result.Class == store.StepOK:
	case ctx.Err() != nil:
		return fmt.Errorf("step %s: interrupted: %w", kind, context.Cause(ctx))
	case durable.DiskFull(err): // a result could not be written either
		return fmt.Errorf("step %s: %w", kind, err)
	}
	if err := writeJSON(resultFile(dir), result); err != nil {
		return fmt.Errorf("step %s: write the result: %w", kind, err)
	}
	if result.Class != store.StepOK {
		return errors.New(result.Detail)
	}
	return nil
}

// Encode returns v as the data of a result.
func Encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("job: " + err.Error()) // impossible for our own structs
	}
	return b
}
