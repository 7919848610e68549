package actions

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/policy"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	began := time.Now()
	for _, name := range []string{"model.pkl", "out/a.bin", "out/deep/b.bin"} {
		writeText(t, filepath.Join(dir, name), name)
	}
	writeText(t, filepath.Join(outside, "secret"), "secret")
	for link, to := range map[string]string{
		"link": "model.pkl", "away": filepath.Join(outside, "secret"), "dir-away": outside,
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	release := filepath.Join(t.TempDir(), "release")
	writeText(t, filepath.Join(release, "model.pkl"), "of a former attempt, and longer")
	detail, err := collect(dir, release, map[string]string{"model.pkl": "model.pkl", "out": "weights"}, began)
	if err != nil || !strings.HasPrefix(detail, "3 files collected") {
		t.Fatalf("%q, %v", detail, err)
	}
	for name, want := range map[string]string{
		"model.pkl": "model.pkl", "weights/a.bin": "out/a.bin", "weights/deep/b.bin": "out/deep/b.bin",
	} {
		if got := readText(t, filepath.Join(release, name)); got != want {
			t.Errorf("%s holds %q", name, got)
		}
	}

	for path, want := range map[string]string{
		"missing":         "the command left no such file",
		"out/missing":     "the command left no such file",
		"empty":           "left no file in this directory",
		"link":            "it is a symbolic link",
		"away":            "it is a symbolic link",
		"pipe":            "it is a named pipe",
		"dir-away/secret": "escapes",
	} {
		to := filepath.Join(t.TempDir(), "release")
		_, err := collect(dir, to, map[string]string{path: "x"}, began)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
		if list, err := os.ReadDir(to); err != nil || len(list) > 0 {
			t.Errorf("%s: the release holds %v, %v", path, list, err)
		}
	}
	_, err = collect(dir, release, map[string]string{"model.pkl": "model.pkl"}, time.Now().Add(time.Hour))
	if err == nil || !strings.Contains(err.Error(), "before this run began") {
		t.Errorf("a file from before: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range maxReleaseFiles + 1 {
		writeText(t, filepath.Join(dir, "many", fmt.Sprint(i)), "")
	}
	if _, err = collect(dir, release, map[string]string{"many": "many"}, began); err == nil ||
		!strings.Contains(err.Error(), "more than 10000 files") {
		t.Errorf("too many: %v", err)
	}
}

// A file that is larger than the free space is refused before anything is written.
func TestCollectMoreThanTheDiskHolds(t *testing.T) {
	t.Parallel()
	dir, release := t.TempDir(), filepath.Join(t.TempDir(), "release")
	huge := filepath.Join(dir, "huge")
	writeText(t, huge, "")
	free, err := files.FreeSpace(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, free+1<<40); err != nil {
		t.Skip("no sparse file of that size: ", err)
	}
	_, err = collect(dir, release, map[string]string{"huge": "huge"}, time.Now().Add(-time.Minute))
	if err == nil || !strings.Contains(err.Error(), "free") {
		t.Errorf("got %v", err)
	}
}

func TestCollectAndPlaceProblems(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, files := range []map[string]string{
		{"out/model.pkl": "model.pkl", "out/weights": "w/x"},
		{"../model": "m"},
		{"/model": "m"},
		{".": "m"},
		{"a": "../m"},
		{"a": "/m"},
		{"a": ""},
		{"a": "./release.json"},
		{"a": "m", "b": "./m"},
	} {
		var p check.Problems
		validateCollect(&p, "collect", files)
		fmt.Fprintf(&b, "collect %v\n%s", files, said(p))
	}
	for _, files := range []map[string]string{
		{"train.jsonl": "data/train.jsonl", "manifest.json": "m.json"},
		{"trian.jsonl": "data/train.jsonl"},
		{"model.pkl": "x"},
		{"train.jsonl": "../x"},
		{"train.jsonl": "/x"},
		{"train.jsonl": "data/"},
		{"train.jsonl": ""},
		{"train.jsonl": "x", "test.jsonl": "./x"},
	} {
		var p check.Problems
		validatePlace(&p, "place", files)
		fmt.Fprintf(&b, "place %v\n%s", files, said(p))
	}
	golden(t, "files.golden", b.String())
}

// The guide's procedure: a script without code for retraind reads its data from the usual place and writes its model
// beside it.
func TestPlaceAndCollectInARun(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "data/train.jsonl"), "made by hand\n")
	script := filepath.Join(dir, "train.sh")
	writeText(t, script, `#!/bin/sh
mkdir -p out; wc -l <data/train.jsonl >out/lines
RETRAIND_DATA_DIR=data RETRAIND_RELEASE_DIR=out `+w.self+" fake-train 7\n")
	train := argv("train", "sh", "train.sh")
	train.Dir, train.Collect = dir, map[string]string{
		"out/lines": "lines", "out/model.json": "model.json", "out/predictions.jsonl": "predictions.jsonl",
	}
	export := &ExportStep{Do: DoExport, dir: dir}
	export.Place = map[string]string{"train.jsonl": "data/train.jsonl", "test.jsonl": "data/test.jsonl"}
	steps := pipeline(train)
	steps[0] = StepConfig{export}
	r := w.run(steps)
	w.ends(r, policy.OutcomePromoted, "first release", goodSteps...)
	release := filepath.Join(w.dir, "releases", r.ID)
	if got := strings.TrimSpace(readText(t, filepath.Join(release, "lines"))); got != "200" {
		t.Errorf("it trained on %s lines", got)
	}
	if got := readText(t, filepath.Join(dir, "data/train.jsonl.before-"+r.ID)); got != "made by hand\n" {
		t.Errorf("the former file holds %q", got)
	}

	// The next export replaces files that retraind wrote, and keeps no copy of them.
	w.source.list = w.source.list[:len(w.source.list)-10]
	w.run(steps)
	list, err := filepath.Glob(filepath.Join(dir, "data/*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i] = filepath.Base(list[i])
	}
	want := []string{"test.jsonl", "train.jsonl", "train.jsonl.before-" + r.ID}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// Without the target directory the run fails before the training.
	export.Place = map[string]string{"train.jsonl": "no/such/train.jsonl"}
	w.ends(w.run(steps), policy.OutcomeFailed, "there is no such directory: create it", "export failed")
	if err := os.Symlink("train.jsonl", filepath.Join(dir, "data/link")); err != nil {
		t.Fatal(err)
	}
	export.Place = map[string]string{"train.jsonl": "data/link"}
	w.ends(w.run(steps), policy.OutcomeFailed, "a symbolic link exists at this path", "export failed")

	// A training that leaves only its former model fails.
	export.Place = nil
	train.Exec = []string{"true"}
	w.runs++
	later := w.plan(steps)
	later.Created = time.Now().Add(time.Hour)
	w.add(later)
	w.handOver(later)
	w.ends(w.await(later), policy.OutcomeFailed, "before this run began: the command did not write it", "export ok", "train failed")
}
