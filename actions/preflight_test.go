package actions

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/compose"
)

// codes lists the codes of the findings, each after the name of its step.
func codes(found []Finding) (out []string) {
	for _, f := range found {
		out = append(out, strings.TrimSpace(f.Step+" "+f.Code))
	}
	return out
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "there.py"), "")
	writeText(t, filepath.Join(dir, "plain"), "")
	writeText(t, filepath.Join(dir, "run.sh"), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		step Step
		want []string
	}{
		"a script":             {Step{Argv: []string{"/bin/sh", "-eu", "there.py"}, Dir: dir}, nil},
		"a program below dir":  {Step{Argv: []string{"./run.sh", "x.py"}, Dir: dir}, nil},
		"inline":               {Step{Argv: []string{"sh", "-c", "no.py"}, Dir: dir}, nil},
		"by a variable":        {Step{Argv: []string{"$RETRAIND_WORK_DIR/x"}, Dir: dir}, nil},
		"no program":           {Step{Argv: []string{"no-such-program"}}, []string{"s program_missing"}},
		"no program at a path": {Step{Argv: []string{"venv/bin/python"}, Dir: dir}, []string{"s program_missing"}},
		"no right to run":      {Step{Argv: []string{"./plain"}, Dir: dir}, []string{"s program_not_executable"}},
		"no script":            {Step{Argv: []string{"/bin/sh", "no.py"}, Dir: dir}, []string{"s file_missing"}},
		"no undo":              {Step{Argv: []string{"sh"}, Undo: []string{"./no"}, Dir: dir}, []string{"s program_missing"}},
		"no directory":         {Step{Argv: []string{"sh"}, Dir: dir + "/no"}, []string{"s dir_missing"}},
		"nowhere to place":     {Step{Dir: dir, Place: map[string]string{"train.jsonl": "data/t.jsonl"}}, []string{"s dir_missing"}},
		"to collect later":     {Step{Argv: []string{"sh"}, Dir: dir, Collect: map[string]string{"out/m": "m"}}, nil},
		"no compose file": {
			Step{Act: &Act{Compose: &compose.Service{Dir: dir + "/no", Name: "api"}}}, []string{"s dir_missing"},
		},
		"no restart": {
			Step{Restart: &RestartConfig{Exec: []string{"./no"}}, Dir: dir}, []string{"s program_missing"},
		},
	} {
		c.step.Name = "s"
		found := slices.DeleteFunc(Preflight(t.Context(), []Step{c.step}, nil, dir), func(f Finding) bool {
			// Findings about the engine and docker compose depend on the machine, and are ignored.
			return strings.HasPrefix(f.Code, "engine_") || f.Code == "compose_missing"
		})
		if diff := cmp.Diff(c.want, codes(found)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for _, f := range found {
			if f.Evidence == "" || f.Cure == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

func TestPreflightOfTheDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writeLeft(AttemptDir(filepath.Join(dir, "runs", "r1"), "train", 1), left{Grew: 1 << 60}); err != nil {
		t.Fatal(err)
	}
	found := Preflight(t.Context(), []Step{{Name: "train"}}, nil, dir)
	if len(found) != 1 || found[0].Code != "disk_space" || !strings.Contains(found[0].Evidence, "wrote 1048576.0 TiB") {
		t.Errorf("%+v", found)
	}
	if found = Preflight(t.Context(), []Step{{Name: "other"}}, nil, dir); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}
