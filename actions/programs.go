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

// CheckPrograms warns of commands whose program is not on this machine, or may not be run, and of directories that are
// missing. Whoever asks may see other files than the daemon does, so that it is no more than a warning.
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

// CheckDeploy warns of a restart whose program or compose directory is not on this machine. dir is that of the model's
// commands.
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
		return // its programs may lie in it
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

// checkProgram warns of a program that cannot be started. One below the run's own directories, or that a variable of the
// run names, shows only then.
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
		why := "it may not be run"
		switch {
		case errors.Is(err, exec.ErrNotFound):
			why = "it is not in PATH"
		case errors.Is(err, fs.ErrNotExist):
			why = "it does not exist"
		}
		found.Warnf(at, "correct it, or look at what the daemon's user sees", "the program of step %s is %s: %s", step,
			program, why)
	}
}

// checkDir warns of a directory that is not there, and reports whether it is.
func checkDir(found *check.Problems, at, dir string) bool {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.Warnf(at, "create it, or correct the path", "the directory %s does not exist", dir)
	case err == nil && !info.IsDir():
		found.Warnf(at, "correct the path", "%s is no directory", dir)
	default:
		return true // what may not be looked at may be there
	}
	return false
}
