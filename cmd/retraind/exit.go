package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/watch"
)

// The exit codes, the same for every command. Unknown codes mean failure.
const (
	exitOK          = 0
	exitFailed      = 1   // failed
	exitUsage       = 2   // wrong flags or arguments
	exitNo          = 3   // succeeded, but the answer is no, or there are findings
	exitUnreachable = 4   // no daemon answers, or not in time
	exitRefused     = 5   // refused by a safety rule
	exitNotFound    = 6   // no such model, run or release
	exitNotPromoted = 7   // the run ended without promoting the new model, or the demo not as expected
	exitGaveUp      = 8   // gave up waiting
	exitConfig      = 78  // the daemon's configuration is invalid, or does not fit the source of labels
	exitInterrupted = 130 // Ctrl-C
)

// coded is an error with an exit code.
type coded struct {
	code  int
	err   error
	quiet bool // the reason has been printed
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

// fail gives an error an exit code.
func fail(code int, format string, args ...any) error {
	return &coded{code: code, err: fmt.Errorf(format, args...)}
}

// silent returns an error that sets the exit code and prints nothing.
func silent(code int) error { return &coded{code: code, err: errors.New("reported"), quiet: true} }

// noModel returns the error for an unknown model, which lists the existing models.
func noModel(name string, all []string) error {
	return fail(exitNotFound, "no model %q is configured; configured: %s", name, strings.Join(all, ", "))
}

// exitCode prints an error with its remedy and returns the exit code.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	var c *coded
	var bad *configs.InvalidError
	code := exitFailed
	switch {
	case errors.As(err, &c):
		code = c.code
	case errors.Is(err, status.ErrUnreachable), errors.Is(err, status.ErrNoAnswer):
		code = exitUnreachable
	case errors.Is(err, status.ErrRefused):
		code = exitRefused
	case errors.Is(err, status.ErrNotFound):
		code = exitNotFound
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		code = exitInterrupted
	}
	switch {
	case c != nil && c.quiet, code == exitInterrupted:
	case errors.As(err, &bad):
		_ = bad.Render(stderr)
	default:
		// An error may quote the answer of a service or a label.
		for i, line := range strings.Split(explainFault(err), "\n") {
			switch {
			case i == 0:
				line = "retraind: " + line
			case !strings.HasPrefix(line, " "): // it may be part of such an answer
				line = "  " + line
			}
			say(stderr, "%s", line)
		}
	}
	return code
}

var errInterrupted = errors.New("interrupted")

// explainFault formats an error, with the cause and the remedy of a source's fault on separate lines.
func explainFault(err error) string {
	var f *watch.Fault
	if errors.As(err, &f) && f.Cure != "" {
		return f.Cause + "\n  fix: " + f.Cure
	}
	return err.Error()
}
