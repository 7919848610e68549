package job

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/retraind/retraind/store"
)

type in struct {
	Items []string `json:"items"`
}

var kinds = map[string]Work{
	"count": func(_ context.Context, j Job) (Result, error) {
		var i in
		if err := j.Decode(&i); err != nil {
			return Result{}, err
		}
		j.Progress(0.5, "half of it")
		return Result{Class: store.StepOK, Detail: "counted", Data: Encode(len(i.Items))}, nil
	},
	"refuse": func(context.Context, Job) (Result, error) {
		return Result{Class: store.StepRejected, Detail: "equal to its base"}, nil
	},
	"fail": func(context.Context, Job) (Result, error) { return Result{}, errors.New("no such service") },
	"full": func(context.Context, Job) (Result, error) {
		return Result{}, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	},
	"engine": func(context.Context, Job) (Result, error) {
		return Result{}, errors.New("docker compose build: write /app/model.pkl: no space left on device")
	},
	"wait": func(ctx context.Context, _ Job) (Result, error) {
		<-ctx.Done()
		return Result{}, ctx.Err()
	},
}

func prepared(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a1")
	if err := Prepare(dir, func() (any, error) { return in{[]string{"a", "b"}}, nil }); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, said string
		want       Result
	}{
		{"count", "", Result{Class: store.StepOK, Detail: "counted", Data: []byte("2")}},
		{"refuse", "equal to its base", Result{Class: store.StepRejected, Detail: "equal to its base"}},
		{"fail", "no such service", Result{Class: store.StepFailed, Detail: "no such service"}},
		{"full", "no space left on device", Result{}}, // no result: the supervisor reads the cause from the output
		{
			"engine", "no space left on device",
			Result{Class: store.StepDiskFull, Detail: "docker compose build: write /app/model.pkl: no space left on device"},
		},
		{"fly", "step fly is unknown: this version has count, engine, fail, full", Result{}},
	} {
		dir := prepared(t)
		err := Run(t.Context(), kinds, c.kind, dir)
		if (err == nil) != (c.said == "") || err != nil && !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v", c.kind, err)
		}
		got, wrote, err := ReadResult(dir)
		if err != nil || wrote != (c.want.Class != "") || got.Class != c.want.Class || got.Detail != c.want.Detail ||
			string(got.Data) != string(c.want.Data) {
			t.Errorf("%s: %+v, %v, %v", c.kind, got, wrote, err)
		}
	}
}

func TestInterruptedWorkLeavesNoResult(t *testing.T) {
	t.Parallel()
	dir := prepared(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Run(ctx, kinds, "wait", dir); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Error(err)
	}
	if _, wrote, err := ReadResult(dir); wrote || err != nil {
		t.Error(wrote, err)
	}
}

// The input of a claimed attempt, which may be running, is not changed.
func TestClaimedInputStays(t *testing.T) {
	t.Parallel()
	dir := prepared(t)
	if err := os.WriteFile(filepath.Join(dir, "claimed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Prepare(dir, func() (any, error) { return nil, errors.New("the input was requested") })
	if err != nil {
		t.Error(err)
	}
	if err := Run(t.Context(), kinds, "count", dir); err != nil {
		t.Error(err)
	}
}

func TestHalfAResult(t *testing.T) {
	t.Parallel()
	dir := prepared(t)
	if err := os.WriteFile(resultFile(dir), []byte(`{"class": "o`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadResult(dir); err == nil {
		t.Error("half a result was read")
	}
}
