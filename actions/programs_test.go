package actions_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions"
)

func TestCheckPrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"train.sh": 0o755, "data.csv": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	found := actions.CheckPrograms([]actions.StepConfig{
		{Do: actions.DoExport},
		{Name: "there", Exec: []string{"sh", "-c", "exit"}, Undo: []string{"retraind", "version"}},
		{Name: "beside", Exec: []string{"./train.sh"}, Dir: dir},
		{Name: "in the run", Exec: []string{"./made-by-a-step-before"}},
		{Name: "words", Exec: []string{"no such program | at all"}, Shell: true},
		{Name: "path", Exec: []string{"no-such-program"}},
		{Name: "file", Exec: []string{filepath.Join(dir, "trian.sh")}},
		{Name: "taken back", Exec: []string{"sh"}, Undo: []string{"./data.csv"}, Dir: dir},
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
