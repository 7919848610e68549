//go:build !race

package crashtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/retraind/retraind/internal/waittest"
)

// A training outlives the daemon. The next daemon waits for the same process and starts no other training.
func TestTrainingGoesOn(t *testing.T) {
	t.Parallel()
	s := newStory(t, promoted, "under way")
	s.held(func() error {
		_, pid, err := s.training(1)
		if err != nil {
			return err
		}
		// The next daemon has resumed the run once it has passed the point "under way".
		if err := waittest.Until(s.ctx, "the run to be resumed", func() (bool, error) {
			b, err := os.ReadFile(s.points(1))
			return strings.Contains(string(b), "under way#1"), err
		}); err != nil {
			return err
		}
		if err := syscall.Kill(pid, 0); err != nil {
			return fmt.Errorf("the training (pid %d) did not continue: %w", pid, err)
		}
		return nil
	})
	s.judge()
}

// If the daemon and the supervisor are killed but not the training, the next daemon kills the training before it starts
// the next attempt.
func TestSupervisorDiesToo(t *testing.T) {
	t.Parallel()
	s := newStory(t, promoted, "under way")
	s.again = []string{"a2"}
	s.held(func() error {
		attempt, orphan, err := s.training(1)
		if err != nil {
			return err
		}
		run, _, _ := strings.Cut(attempt, "/")
		claim, err := os.ReadFile(filepath.Join(s.state(), "models", model, "runs", run, "steps", "train", "a1", "claimed"))
		if err != nil {
			return err
		}
		supervisor, err := strconv.Atoi(strings.TrimSpace(string(claim)))
		if err != nil {
			return err
		}
		if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
			return err
		}
		attempt, _, err = s.training(2)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(attempt, "/a2") {
			return fmt.Errorf("the second start of the training is attempt %s", attempt)
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", orphan)); err == nil && strings.Contains(string(b), run+"/train/a1") {
			return fmt.Errorf("the orphan (pid %d) still runs while the next attempt does", orphan)
		}
		return nil
	})
	s.judge()
}

// held runs the scenario and calls the function meanwhile. The training ends only after meanwhile has returned.
func (s *story) held(meanwhile func() error) {
	s.t.Helper()
	hold := filepath.Join(s.dir, "hold")
	check(s.t, os.WriteFile(hold, nil, 0o600))
	done := make(chan error, 1)
	go func() {
		err := meanwhile()
		if err != nil {
			s.fail(err)
		}
		_ = os.Remove(hold)
		done <- err
	}()
	check(s.t, s.play())
	check(s.t, <-done)
	if s.died() != len(s.at) {
		s.t.Fatalf("the daemon was killed %d times, want once at each of %v", s.died(), s.at)
	}
}

// training waits until the n-th training has started, and returns its attempt and process id.
func (s *story) training(n int) (attempt string, pid int, err error) {
	err = waittest.Until(s.ctx, fmt.Sprintf("training %d", n), func() (bool, error) {
		b, err := os.ReadFile(filepath.Join(s.dir, "train.log"))
		if err != nil {
			return false, err
		}
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		if len(lines) < n || !strings.HasSuffix(string(b), "\n") {
			return false, nil
		}
		_, err = fmt.Sscanf(lines[n-1], "start %s %d", &attempt, &pid)
		return err == nil, err
	})
	return attempt, pid, err
}
