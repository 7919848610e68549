package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

const followEvery = 200 * time.Millisecond

// followRun prints the output of a run's commands until the run has ended, and turns its outcome into the exit code.
// The output files only grow, so they are read even while the daemon does not answer.
func (a *app) followRun(ctx context.Context, c *status.Client, out *outputs, r status.Run) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		if err := out.print(r); err != nil { // read after the state of the run: the output of ended steps is complete
			return err
		}
		if r.State == store.RunEnded {
			return a.followed(out, r)
		}
		select {
		case <-ctx.Done():
			out.endLine()
			say(a.stderr, "run %s continues; to follow it again: retraind runs logs %[1]s --follow", text.RunID(r.ID))
			return errInterrupted
		case <-tick.C:
		}
		now, err := c.Run(ctx, r.ID)
		switch {
		case err == nil:
			r = now
		case !away(err) && ctx.Err() == nil:
			return err
		}
	}
}

// followed prints how the run ended.
func (a *app) followed(out *outputs, r status.Run) error {
	out.endLine()
	said, _ := r.BriefReason()
	say(a.stderr, "run %s: %s: %s", text.RunID(r.ID), plainWord(r.Word()), said)
	if r.Outcome != policy.OutcomePromoted {
		return silent(exitNotPromoted)
	}
	return nil
}

// outputs prints the output of a run's commands while it grows. Each part is printed once.
type outputs struct {
	a     *app
	state string           // the state directory
	step  string           // "" for all steps
	read  map[string]int64 // bytes of each file that have been printed
	last  string           // file of the last part
	open  bool             // the last printed line is incomplete
}

func newOutputs(a *app, state, step string) *outputs {
	return &outputs{a: a, state: state, step: step, read: map[string]int64{}}
}

// print prints the output since the last call.
func (o *outputs) print(r status.Run) error {
	for _, s := range r.Steps {
		if s.Started.IsZero() || o.step != "" && s.Name != o.step {
			continue
		}
		if err := o.printFile(logFile(o.state, r, s), s); err != nil {
			return err
		}
	}
	return nil
}

func (o *outputs) printFile(path string, s status.Step) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a built-in step, or a pending one
	}
	if err != nil {
		return err
	}
	defer f.Close()
	part := make([]byte, 64<<10)
	for {
		n, err := f.ReadAt(part, o.read[path])
		n = wholeRunes(part[:n])
		o.read[path] += int64(n)
		if n > 0 {
			if err := o.printPart(path, s, string(part[:n])); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (o *outputs) printPart(path string, s status.Step, said string) error {
	if o.a.json {
		return o.a.printJSON(output{s.Name, s.Attempt, said})
	}
	if path != o.last {
		o.endLine()
		say(o.a.stdout, "==> %s, attempt %d <==", s.Name, s.Attempt)
		o.last = path
	}
	_, err := io.WriteString(o.a.stdout, plainOutput(said))
	o.open = !strings.HasSuffix(said, "\n")
	return err
}

// wholeRunes returns the number of bytes before an incomplete character at the end.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}

// endLine prints a line end if the last line of a command's output is incomplete.
func (o *outputs) endLine() {
	if o.open && !o.a.json {
		say(o.a.stdout, "")
		o.open = false
	}
}
