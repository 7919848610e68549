// Package job runs a long built-in step as a child of the step supervisor, like a user's command: with its own
// timeout, output, progress and result, and without the daemon.
//
// The parent writes input.json into the directory of the attempt before the start, with everything that the child
// needs: the child opens no database. The child does its work and writes result.json, atomically, as its last action.
// Both files belong to one attempt; the input is never written again once a supervisor has claimed the attempt.
//
// After a crash, work may run again in a second attempt: it must detect what the first attempt has done. The package
// starts and ends no process; package runner does.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// Result is the result of a child's work, stored in result.json.
type Result struct {
	Class  store.StepState `json:"class"`
	Detail string          `json:"detail,omitempty"` // one sentence for people
	Why    policy.Reason   `json:"why,omitempty"`    // if the work was blocked
	// Data is the result's data, in a format that depends on the kind of work.
	Data json.RawMessage `json:"data,omitempty"`
}

// Job is one attempt of a child's work.
type Job struct {
	Dir   string // directory of the attempt
	Input json.RawMessage
}

// Work does the work of one kind. An error means that the work failed; every other outcome is a Result.
type Work func(ctx context.Context, j Job) (Result, error)

func inputFile(dir string) string  { return filepath.Join(dir, "input.json") }
func resultFile(dir string) string { return filepath.Join(dir, "result.json") }

// Prepare calls the function input and writes what it returns as the input of an attempt. It does nothing if a
// supervisor has claimed the attempt.
func Prepare(dir string, input func() (any, error)) error {
	if runner.Claimed(dir) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	in, err := input()
	if err != nil {
		return err
	}
	return writeJSON(inputFile(dir), in)
}

// Decode decodes the input into v.
func (j Job) Decode(v any) error {
	if err := json.Unmarshal(j.Input, v); err != nil {
		return fmt.Errorf("read %s: %w", inputFile(j.Dir), err)
	}
	return nil
}

// Progress reports the progress of the work: a share from 0 to 1 and a few words. Write errors are ignored.
func (j Job) Progress(share float64, text string) {
	line := fmt.Sprintf("%.3f %s\n", min(max(share, 0), 1), text)
	_ = renameio.WriteFile(runner.ProgressFile(j.Dir), []byte(line), 0o600)
}

// ReadResult returns a child's result; it reports false if there is none.
func ReadResult(dir string) (Result, bool, error) {
	var r Result
	b, err := os.ReadFile(resultFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("read %s: %w", resultFile(dir), err)
	}
	return r, true, nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}
