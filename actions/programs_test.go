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
		named("nowhere", actions.CommandStep{Exec: []string{"./train.sh"}, Dir: filepath.Join(dir, "none")}),
		named("of the run", actions.CommandStep{Exec: []string{"$RETRAIND_WORK_DIR/made"}, Dir: dir}),
		named("undone", actions.CommandStep{Exec: []string{"sh"}, Undo: []string{"./data.csv"}, Dir: dir}),
	})
	var got []string
	for _, p := range found {
		got = append(got, p.Path+": "+p.Message)
		if !p.Warning {
			t.Errorf("%s is no warning", p.Path)
		}
	}
	want := []string{
		"[5].exec: step path runs no-such-program: it is not in PATH",
		"[6].exec: step file runs " + dir + "/trian.sh: it does not exist",
		"[7].dir: the directory " + dir + "/none does not exist",
		"[9].undo: step undone runs " + dir + "/data.csv: it is not executable",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckDeploy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "restart.sh"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	compose := func(dir string) *actions.RestartConfig {
		return &actions.RestartConfig{Compose: &actions.ComposeService{Dir: dir, Service: "api"}}
	}
	for _, c := range []struct {
		restart *actions.RestartConfig
		want    string
	}{
		{nil, ""},
		{compose(dir), ""},
		{compose(filepath.Join(dir, "moved")), "restart.compose.dir: the directory " + dir + "/moved does not exist"},
		{compose(filepath.Join(dir, "restart.sh")), "restart.compose.dir: " + dir + "/restart.sh is not a directory"},
		{&actions.RestartConfig{Exec: []string{"./restart.sh"}}, ""},
		{
			&actions.RestartConfig{Exec: []string{"./retsart.sh"}},
			"restart.exec: step deploy runs " + dir + "/retsart.sh: it does not exist",
		},
	} {
		got := ""
		for _, p := range actions.CheckDeploy(&actions.DeployConfig{Restart: c.restart}, dir) {
			got += p.Path + ": " + p.Message
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
