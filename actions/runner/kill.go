package runner

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// AttemptVar and ProgressVar are the environment variables that mark every process of an attempt, so that leftovers are
// found even after their supervisor died. ProgressVar has the path of ProgressFile: two state directories, of which one
// is a copy of the other, have attempts with the same id.
const (
	AttemptVar  = "RETRAIND_ATTEMPT"
	ProgressVar = "RETRAIND_PROGRESS"
)

// killDescendants kills all children of this process until none is left. Since this process is a subreaper, these
// include all processes that the command started, in any session.
func killDescendants() {
	for range 200 {
		pids := children(os.Getpid())
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		reap()
	}
}

// reap collects the children that have ended, or that end within 50 ms.
func reap() {
	deadline := time.Now().Add(50 * time.Millisecond)
	for time.Now().Before(deadline) {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != nil || pid < 0 {
			return
		}
		if pid == 0 {
			<-time.After(time.Millisecond)
		}
	}
}

func children(pid int) []int {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// marked reports whether an environment, with a zero byte after each variable, is that of the attempt's processes.
func (s Spec) marked(env []byte) bool {
	env = append([]byte{0}, env...)
	has := func(variable string) bool { return bytes.Contains(env, []byte("\x00"+variable+"\x00")) }
	return has(AttemptVar+"="+s.ID) && !slices.ContainsFunc(s.Env, func(variable string) bool {
		return strings.HasPrefix(variable, ProgressVar+"=") && !has(variable)
	})
}

// killLeftovers kills every process with the attempt's marks. It repeats this until none is found, since a process may
// start others meanwhile.
func killLeftovers(spec Spec) {
	for range 20 {
		found := 0
		procs, _ := os.ReadDir("/proc")
		for _, p := range procs {
			pid, err := strconv.Atoi(p.Name())
			if err != nil || pid == os.Getpid() {
				continue
			}
			env, err := os.ReadFile("/proc/" + p.Name() + "/environ")
			if err == nil && spec.marked(append(env, 0)) {
				found++
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if found == 0 {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Alive reports whether a command of a run is in progress: whether a live supervisor has claimed, or is about to claim,
// one of the attempts in the run's directory. It kills the leftover processes of dead supervisors, so that the run has
// no processes if the answer is false. It needs only the run's directory.
func Alive(runDir string) (bool, error) {
	specs, err := fs.Glob(os.DirFS(runDir), specFile("steps/*/*")) // the path of the run's directory is no pattern
	if err != nil {
		return false, err
	}
	for _, spec := range specs {
		dir := filepath.Join(runDir, filepath.Dir(spec))
		if _, ended, err := ReadExit(dir); ended && err == nil {
			continue
		}
		if !Claimed(dir) { // a daemon killed during the start may have left a supervisor that has not claimed it yet
			if starting(dir) {
				return true, nil
			}
			if !Claimed(dir) {
				continue
			}
		}
		if alive, err := locked(dir); err != nil || alive {
			return alive, err
		}
		spec, err := ReadSpec(dir)
		if err != nil {
			return false, fmt.Errorf("read the command of attempt %s: %w", dir, err)
		}
		killLeftovers(spec)
	}
	return false, nil
}

// starting reports whether a process has an attempt's directory as an argument. Only the attempt's supervisor does.
func starting(dir string) bool {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return false
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // an ended process has none
		for arg := range bytes.SplitSeq(line, []byte{0}) {
			if string(arg) == dir {
				return true
			}
		}
	}
	return false
}
