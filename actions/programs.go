package actions

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// CheckPrograms warns of commands whose program is not on this machine, or may not be run. Whoever asks may see other
// files than the daemon does, so that it is no more than a warning.
func CheckPrograms(steps []StepConfig) (found check.Problems) {
	for i := range steps {
		s := steps[i].Command()
		if s == nil || s.Shell {
			continue
		}
		for _, command := range []struct {
			key  string
			argv []string
		}{{"exec", s.Exec}, {"undo", s.Undo}} {
			if len(command.argv) == 0 || command.argv[0] == "retraind" || variable.MatchString(command.argv[0]) {
				continue
			}
			program := command.argv[0]
			if strings.Contains(program, "/") && !filepath.IsAbs(program) {
				if s.Dir == "" {
					continue // below the run's own directory
				}
				program = filepath.Join(s.Dir, program)
			}
			if _, err := exec.LookPath(program); err != nil {
				why := "it may not be run"
				switch {
				case errors.Is(err, exec.ErrNotFound):
					why = "it is not in PATH"
				case errors.Is(err, fs.ErrNotExist):
					why = "it does not exist"
				}
				found.Warnf(check.Index("", i)+"."+command.key, "correct it, or look at what the daemon's user sees",
					"the program of step %s is %s: %s", s.Name, program, why)
			}
		}
	}
	return found
}
