// Package runner runs one command of a step so that the command outlives the daemon.
//
// A command belongs to an attempt directory. The daemon writes spec.json there and starts a supervisor (the shim:
// `retraind exec-step DIR`) in a separate session. The shim holds a lock while it lives, claims the attempt once, runs
// the command, kills the processes that the command leaves behind, and writes exit.json atomically. A restarted daemon
// waits for the live shim or reads its record; it never starts the command a second time. If a shim has ended without a
// record, the result is store.StepUnknown: leftover processes are killed, and the caller decides by the kind of the
// step.
//
// A Runner is safe for concurrent use on different attempts. It uses no shell and passes only PATH, HOME, LANG and TZ
// of the daemon's environment.
package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/store"
)

// Runner runs attempts. Shim implements it.
type Runner interface {
	// Run starts the attempt's command, or re-attaches to it, and waits for its end. If ctx ends first, the command
	// continues and Run returns ctx's cause. The failure of a command is not an error: it is in Exit.
	Run(ctx context.Context, spec Spec) (Exit, error)
	// Kill ends the attempt's command and every process that the command started; it is no error if none is left. If the
	// supervisor is alive, Kill only tells it to end them, and does not wait.
	Kill(spec Spec) error
}

// Spec is one attempt of one command. It is written to Dir/spec.json before the start and never changes.
type Spec struct {
	Dir     string        `json:"dir"`     // attempt directory, absolute
	ID      string        `json:"id"`      // "<run>/<step>/a<attempt>": never used twice
	Argv    []string      `json:"argv"`    // program and arguments, no shell
	Env     []string      `json:"env"`     // KEY=value, complete
	Cwd     string        `json:"cwd"`     // working directory
	Timeout time.Duration `json:"timeout"` // 0 = none
	Grace   time.Duration `json:"grace"`   // between TERM and KILL; 0 = 10 s
	LogCap  int64         `json:"log_cap"` // bytes of output kept, head and tail; 0 = 64 MiB
	// Progress is the pattern of progress lines in the output; "" for none.
	Progress string `json:"progress,omitempty"`
	// Inherited is the number of files that the supervisor inherits, from descriptor 3 on.
	Inherited int `json:"inherited,omitempty"`
	// Inherit are open files, such as the lease of a GPU, that the supervisor and the command hold until they end. Run
	// closes them in this process, even if it fails.
	Inherit []*os.File `json:"-"`
}

// close closes this process's copies of the inherited files.
func (s Spec) close() {
	for _, f := range s.Inherit {
		_ = f.Close() // held only, never written
	}
}

// Exit is the record of an ended attempt, stored in Dir/exit.json.
type Exit struct {
	Class   store.StepState `json:"class"`
	Code    int             `json:"code"`
	Signal  string          `json:"signal,omitempty"`
	Detail  string          `json:"detail,omitempty"` // one sentence, with the last line of output if it explains the failure
	Started time.Time       `json:"started"`
	Ended   time.Time       `json:"ended"`
}

func specFile(dir string) string  { return filepath.Join(dir, "spec.json") }
func lockFile(dir string) string  { return filepath.Join(dir, "lock") }
func claimFile(dir string) string { return filepath.Join(dir, "claimed") }
func exitFile(dir string) string  { return filepath.Join(dir, "exit.json") }

// Claimed reports whether a supervisor has claimed the attempt and may therefore have started its command.
func Claimed(dir string) bool {
	_, err := os.Stat(claimFile(dir))
	return err == nil
}

// Began returns the time at which a supervisor claimed the attempt, or the present time if none did.
func Began(dir string) time.Time {
	info, err := os.Stat(claimFile(dir))
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}

// ReadSpec reads the spec of an attempt.
func ReadSpec(dir string) (Spec, error) {
	var spec Spec
	b, err := os.ReadFile(specFile(dir))
	if err == nil {
		err = json.Unmarshal(b, &spec)
	}
	return spec, err
}

// LogFile returns the path of the attempt's output.
func LogFile(dir string) string { return filepath.Join(dir, "out.log") }

// ProgressFile returns the path of the file to which a command may write its progress: a share and a text, "0.42 epoch
// 5/12".
func ProgressFile(dir string) string { return filepath.Join(dir, "progress") }

// PrintedFile returns the path of the file in which the supervisor stores the progress found in the output.
func PrintedFile(dir string) string { return filepath.Join(dir, "printed.json") }

// ReadExit returns the record of an ended attempt; it reports false while there is none.
func ReadExit(dir string) (Exit, bool, error) {
	var e Exit
	b, err := os.ReadFile(exitFile(dir))
	if os.IsNotExist(err) {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, false, fmt.Errorf("read %s: %w", exitFile(dir), err)
	}
	return e, true, nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}
