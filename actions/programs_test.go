package actions_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions"
)

func named(name string, c actions.CommandStep) actions.StepConfig {
	c.Name = name
	return actions.StepConfig{StepType: &c}
}

func TestCheckPrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"train.sh": 0o755, "data.csv": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	found := actions.CheckPrograms([]actions.StepConfig{
		actions.Do(actions.DoExport),
		named("there", actions.CommandStep{Exec: []string{"sh", "-c", "exit"}, Undo: []string{"retraind", "version"}}),
		named("beside", actions.CommandStep{Exec: []string{"./train.sh"}, Dir: dir}),
		named("in the run", actions.CommandStep{Exec: []string{"./made-by-a-step-before"}}),
		named("words", actions.CommandStep{Exec: []string{"no such program | at all"}, Shell: true}),
		named("path", actions.CommandStep{Exec: []string{"no-such-program"}}),
		named("file", actions.CommandStep{Exec: []string{filepath.Join(dir, "trian.sh")}}),
		named("taken back", actions.CommandStep{Exec: []string{"sh"}, Undo: []string{"./data.csv"}, Dir: dir}),
	})
	var got []string
	for _, p := range found {
		got = append(got, p.Path+": "+p.Message)
		if !p.Warning {
			t.Errorf("%s is no warning", p.Path)
		}
	}
	want := []string{
		"[5].exec: the program of step path is no-such-program: it is not in PATH",
		"[6].exec: the program of step file is " + dir + "/trian.sh: it does not exist",
		"[7].undo: the program of step taken back is " + dir + "/data.csv: it may not be run",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
