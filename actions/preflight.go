package actions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/text"
)

// Finding is a fault that would make a run fail. The codes are stable.
type Finding struct {
	Code     string `json:"code"`
	Step     string `json:"step,omitempty"`
	Evidence string `json:"evidence"` // what was found
	Cure     string `json:"cure"`
}

// preflight checks what the steps of a pipeline need, and changes nothing.
type preflight struct {
	ctx   context.Context
	step  string
	found []Finding
}

// Preflight returns what would make a run of these steps fail, as far as the caller can check beforehand: programs,
// directories, the Docker engine, units, and the space that earlier runs needed. stop is what such a run stops for the
// GPU, modelDir the model's directory.
func Preflight(ctx context.Context, steps []Step, stop []gpu.StopConfig, modelDir string) []Finding {
	c := &preflight{ctx: ctx}
	for _, s := range steps {
		c.step = s.Name
		c.commands(s)
		for _, name := range slices.Sorted(maps.Keys(s.Place)) {
			c.writable(filepath.Dir(filepath.Join(s.Dir, s.Place[name])))
		}
		c.collected(s)
		switch {
		case s.Act != nil && s.Act.Unit != "":
			c.unit(s.Act.Unit)
		case s.Act != nil && s.Act.Ollama != nil:
			c.ollama(*s.Act.Ollama)
		case s.Act != nil && s.Act.Compose != nil:
			c.compose(*s.Act.Compose, change{exchange: s.Act.Action == ActionUp})
		case s.Restart != nil && s.Restart.Unit != "":
			c.unit(s.Restart.Unit)
		case s.Restart != nil && s.Restart.Compose != nil:
			c.compose(compose.Service{Dir: s.Restart.Compose.Dir, Name: s.Restart.Compose.Service}, change{})
		case s.Restart != nil:
			c.program(s.Restart.Exec, s.Dir)
		case s.Compose != nil:
			c.compose(s.Compose.service(), change{exchange: true, beside: asksBeside(steps)})
			for _, name := range slices.Sorted(maps.Keys(s.Compose.Files)) {
				c.writable(filepath.Dir(filepath.Join(s.Compose.Dir, s.Compose.Files[name])))
			}
		}
	}
	c.step = ""
	if slices.ContainsFunc(steps, func(s Step) bool { return s.GPU || s.OllamaOnGPU }) {
		for _, stop := range stop {
			switch {
			case stop.Unit != "":
				c.unit(stop.Unit)
			case stop.Compose != nil:
				c.compose(compose.Service{Dir: stop.Compose.Dir, Name: stop.Compose.Service}, change{})
			}
		}
	}
	c.space(steps, modelDir)
	return c.found
}

// asksBeside reports whether a step asks the candidate in a container of its image, which runs beside the service.
func asksBeside(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool {
		return s.Predict != nil && s.Predict.URL == "" && len(s.Argv) == 0
	})
}

func (c *preflight) add(code, cure, format string, args ...any) {
	f := Finding{Code: code, Step: c.step, Evidence: fmt.Sprintf(format, args...), Cure: cure}
	if !slices.Contains(c.found, f) {
		c.found = append(c.found, f)
	}
}

func (c *preflight) commands(s Step) {
	if s.Dir != "" && len(s.Argv) > 0 && !c.directory(s.Dir) {
		return // the programs may be in the missing directory
	}
	for _, argv := range [][]string{s.Argv, s.Undo, s.Probe} {
		c.program(argv, s.Dir)
	}
}

// program checks that a command's program can be run and, if the program is an interpreter, that its script can be
// read.
func (c *preflight) program(argv []string, dir string) {
	if len(argv) == 0 || variable.MatchString(argv[0]) {
		return
	}
	program := argv[0]
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		if dir == "" {
			return // relative to a directory of the run
		}
		program = filepath.Join(dir, program)
	}
	_, err := exec.LookPath(program)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		c.add("program_missing", "install it, or write its absolute path", "%s is not in PATH", program)
	case errors.Is(err, fs.ErrNotExist):
		c.add("program_missing", "correct the path, or install it", "%s does not exist", program)
	case err != nil:
		c.add("program_not_executable", "let this user execute it: chmod +x on the file, and x on each directory above it",
			"%s is not executable for this user", program)
	}
	if script := scriptOf(argv); script != "" && (filepath.IsAbs(script) || dir != "") {
		c.readable(absolute(dir, script))
	}
}

// interpreters are the programs whose first argument is a script.
var interpreters = []string{"python", "python3", "sh", "bash", "dash", "perl", "ruby", "node", "Rscript"}

// scriptOf returns the script that an interpreter will run, "" if there is none.
func scriptOf(argv []string) string {
	if !slices.Contains(interpreters, strings.TrimRight(filepath.Base(argv[0]), ".0123456789")) &&
		!slices.Contains(interpreters, filepath.Base(argv[0])) {
		return ""
	}
	for _, a := range argv[1:] {
		switch {
		case variable.MatchString(a), a == "-c", a == "-m", a == "-e", a == "-":
			return ""
		case !strings.HasPrefix(a, "-"):
			return a
		}
	}
	return ""
}

func (c *preflight) readable(path string) {
	err := unix.Access(path, unix.R_OK)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.add("file_missing", "correct the path", "%s does not exist", path)
	case err != nil:
		c.add("file_unreadable", "let this user read it", "%s: %v", path, err)
	}
}

// directory reports whether a directory exists.
func (c *preflight) directory(dir string) bool {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.add("dir_missing", "create it, or correct the path", "%s does not exist", dir)
	case err != nil:
		c.add("dir_unreadable", "give this user access to each directory above", "%v", err)
	case !info.IsDir():
		c.add("dir_missing", "correct the path", "%s is not a directory", dir)
	default:
		return true
	}
	return false
}

func (c *preflight) writable(dir string) {
	if !c.directory(dir) {
		return
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		c.add("dir_not_writable", "let this user write there; under systemd, also by ReadWritePaths=", "%s: %v", dir, err)
	}
}

// collected checks the directories of the files that a command will write.
func (c *preflight) collected(s Step) {
	if s.Dir == "" || variable.MatchString(s.Dir) {
		return
	}
	wanted := slices.Sorted(maps.Keys(s.Collect))
	if s.Result != "" && !filepath.IsAbs(s.Result) && !variable.MatchString(s.Result) {
		wanted = append(wanted, s.Result)
	}
	for _, path := range wanted {
		dir := filepath.Dir(filepath.Join(s.Dir, path))
		for dir != s.Dir { // the command may create missing directories
			if _, err := os.Stat(dir); err == nil {
				break
			}
			dir = filepath.Dir(dir)
		}
		c.writable(dir)
	}
}

// space compares the free disk space with the most that the steps wrote in one of the newest runs, as far as their
// records still exist.
func (c *preflight) space(steps []Step, modelDir string) {
	dir := filepath.Join(modelDir, "runs")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // no run yet, or readable for the daemon only
	}
	var need int64
	slices.Reverse(entries)
	for _, e := range entries[:min(len(entries), roomRuns)] {
		var size int64
		for _, s := range steps {
			if l, ok := leftOf(filepath.Join(dir, e.Name()), s.Name); ok {
				size += l.Grew
			}
		}
		need = max(need, size)
	}
	free, err := files.FreeSpace(dir)
	if need > 0 && err == nil && free < need+need/10 {
		c.add("disk_space", "free disk space, or keep less (retention)", "one of the last runs wrote %s, but %s has only %s free",
			text.Bytes(need), dir, text.Bytes(free))
	}
}

// printed returns a program's output as one line.
func printed(out []byte, err error) string {
	const most = 200
	line := text.OneLine(strings.Join(strings.Fields(string(out)), " "), most)
	if err != nil {
		line = cmp.Or(line, err.Error())
	}
	return line
}
