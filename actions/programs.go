package actions

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// CheckPrograms warns of commands whose program is missing or not executable, and of missing directories. The caller
// may see other files than the daemon does, so these are only warnings.
func CheckPrograms(steps []StepConfig) (found check.Problems) {
	for i := range steps {
		here := check.Index("", i)
		switch s := steps[i].StepType.(type) {
		case *CommandStep:
			checkCommand(&found, here, s)
		case *CheckStep:
			if s.Base != "" && !variable.MatchString(s.Base) {
				checkDir(&found, here+".base", absolute(s.dir, s.Base))
			}
		case *PredictStep:
			if len(s.Exec) > 0 {
				checkProgram(&found, here+".exec", "predict", s.Exec[0], s.dir)
			}
		case *ExportStep:
			for _, name := range slices.Sorted(maps.Keys(s.Place)) {
				checkDir(&found, here+".place."+name, filepath.Dir(filepath.Join(s.dir, s.Place[name])))
			}
		}
	}
	return found
}

// CheckDeploy warns if a program or directory that the deployment uses is missing. dir is the working directory of the
// model's commands.
func CheckDeploy(d *DeployConfig, dir string) (found check.Problems) {
	switch {
	case d == nil:
	case d.Compose != nil:
		checkDir(&found, "compose.dir", d.Compose.Dir)
	case d.Ollama != nil:
		if d.Ollama.Store != "" {
			checkDir(&found, "ollama.store", d.Ollama.Store)
		}
	case d.Restart == nil:
	case d.Restart.Unit != "":
		checkProgram(&found, "restart.unit", "deploy", "systemctl", "")
	case d.Restart.Compose != nil:
		checkDir(&found, "restart.compose.dir", d.Restart.Compose.Dir)
	default:
		checkProgram(&found, "restart.exec", "deploy", d.Restart.Exec[0], dir)
	}
	return found
}

func checkCommand(found *check.Problems, here string, s *CommandStep) {
	if s.Shell {
		return
	}
	if s.Dir != "" && !checkDir(found, here+".dir", s.Dir) {
		return // the programs may be in the missing directory
	}
	for _, command := range []struct {
		key  string
		argv []string
	}{{"exec", s.Exec}, {"undo", s.Undo}, {"probe", s.Probe}} {
		if len(command.argv) > 0 {
			checkProgram(found, here+"."+command.key, s.Name, command.argv[0], s.Dir)
		}
	}
}

// checkProgram warns of a program that cannot be started. It does not check a program that is relative to a directory
// of the run or named by a variable of the run.
func checkProgram(found *check.Problems, at, step, program, dir string) {
	if program == "retraind" || variable.MatchString(program) {
		return
	}
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		if dir == "" {
			return
		}
		program = filepath.Join(dir, program)
	}
	if _, err := exec.LookPath(program); err != nil {
		why := "it is not executable"
		switch {
		case errors.Is(err, exec.ErrNotFound):
			why = "it is not in PATH"
		case errors.Is(err, fs.ErrNotExist):
			why = "it does not exist"
		}
		found.Warnf(at, "correct the path, or run this check as the daemon's user", "step %s runs %s: %s", step,
			program, why)
	}
}

// checkDir warns of a missing directory, and reports whether it exists.
func checkDir(found *check.Problems, at, dir string) bool {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.Warnf(at, "create it, or correct the path", "the directory %s does not exist", dir)
	case err == nil && !info.IsDir():
		found.Warnf(at, "correct the path", "%s is not a directory", dir)
	default:
		return true // it exists, or cannot be checked
	}
	return false
}
