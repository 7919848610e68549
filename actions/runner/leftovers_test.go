package runner

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// Of two attempts with the same id, as after a copy of the state directory, only the processes of the given one are
// killed.
func TestLeftoversOfACopy(t *testing.T) {
	t.Parallel()
	start := func(env []string) *exec.Cmd {
		c := exec.Command("/bin/sleep", "600")
		c.Env = env
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill() })
		return c
	}
	a, b := spec(t, ""), spec(t, "")
	for _, s := range []*Spec{&a, &b} {
		s.ID = "run/" + t.Name()
		s.Env = []string{AttemptVar + "=" + s.ID, ProgressVar + "=" + ProgressFile(s.Dir)}
	}
	killed, other := start(a.Env), start(b.Env)
	killLeftovers(a)
	if err := killed.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the attempt's process: %v", err)
	}
	env, err := os.ReadFile("/proc/" + strconv.Itoa(other.Process.Pid) + "/environ")
	if err != nil || !b.marked(append(env, 0)) {
		t.Errorf("the process of the other attempt is gone: %v", err)
	}
}
