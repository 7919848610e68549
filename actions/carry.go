package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
)

// Parent identifies the ended run that a retry repeats.
type Parent struct {
	Run    string `json:"run"`
	RunDir string `json:"run_dir"`
	From   string `json:"from"` // the step at which the retry starts
	// Carry names the steps of that run whose results the retry reuses if their files are unchanged.
	Carry []string `json:"carry,omitempty"`
}

// carries reports whether a retry can reuse the result of a step. It can reuse exports and commands. A command with an
// undo runs again, because its effect was undone at the end of the parent run and later steps may need it. breaks means
// that the step changes what later steps work on, so that those steps cannot be reused either.
func carries(s Step) (carry, breaks bool) {
	switch s.Do {
	case "":
		return len(s.Undo) == 0, false
	case DoExport:
		return true, false
	// they run again, but leave the data and the artifact unchanged
	case DoCheck, DoPredict, DoGate, DoRelease, DoDeploy, DoVerify, DoCompose, DoUnit, DoOllama:
		return false, false
	}
	return false, true
}

// Carry returns the names of the steps whose results p, a retry of the run of parent, can reuse. If one step prevents the
// reuse of itself and of all later steps, Carry also returns why. Only steps with an index below from are considered.
// Carry does not compare files: that happens when each step is due.
func (p Plan) Carry(parent Plan, from int) (carry []string, why string) {
	shared := slices.ContainsFunc(p.Steps[from:], func(s Step) bool { return s.Do == "" })
	for _, s := range p.Steps[:from] {
		can, breaks := carries(s)
		if breaks {
			return carry, fmt.Sprintf("step %s runs again, and later steps use its result", s.Name)
		}
		if !can {
			continue
		}
		l, ok := leftOf(parent.RunDir, s.Name)
		switch {
		case !ok:
			return carry, fmt.Sprintf("no files of step %s are left in run %s", s.Name, text.RunID(parent.Run))
		case l.Code != stepCode(s, p.Serving):
			return carry, fmt.Sprintf("step %s, or a file that it names, was changed after run %s", s.Name, text.RunID(parent.Run))
		case l.Work && shared: // its files in the shared directory are gone
			continue
		}
		carry = append(carry, s.Name)
	}
	return carry, ""
}

// notCarriedError says why the result of a step cannot be reused, so that the step runs again.
type notCarriedError struct{ why string }

func (e *notCarriedError) Error() string { return e.why }

// carry reuses the result of a step of the run's parent if its files are unchanged: it copies the files into this run's
// directories, and for an export also the record of the training items. It returns a *notCarriedError if the step must
// run again. It may be called twice.
func (x *Executor) carry(ctx context.Context, p Plan, a Action, done []Outcome) (Outcome, error) {
	step := p.Steps[a.Step]
	for _, name := range p.Parent.Carry[:slices.Index(p.Parent.Carry, step.Name)] {
		taken := func(o Outcome) bool { return o.Kind == ActDo && o.Carried && p.Steps[o.Step].Name == name }
		if !slices.ContainsFunc(done, taken) {
			return Outcome{}, &notCarriedError{"the earlier step " + name + " ran again"}
		}
	}
	l, ok := leftOf(p.Parent.RunDir, step.Name)
	if !ok {
		return Outcome{}, &notCarriedError{"its files no longer exist"}
	}
	if e := l.Outcome.Facts.Export; e != nil && e.SaltID != x.Source.SaltID(p.Model) {
		return Outcome{}, &notCarriedError{"the held-out items are chosen with another salt now"}
	}
	if err := os.MkdirAll(p.releaseDir(), 0o755); err != nil { // as an export does
		return Outcome{}, err
	}
	before := lastLeft(p, done)
	parentRelease := filepath.Join(p.ModelDir, "releases", p.Parent.Run)
	data, err := takeFiles(filepath.Join(p.Parent.RunDir, "data"), p.dataDir(), l.Data, before.Data)
	var release []string
	if err == nil {
		release, err = takeFiles(parentRelease, p.releaseDir(), l.Release, before.Release)
	}
	if err == nil && step.Do == DoExport {
		if err = x.takeTrained(ctx, p); err == nil {
			err = x.place(p, step)
		}
	}
	if err != nil {
		for _, path := range append(data, release...) { // an incomplete copy must not be visible to the step
			err = errors.Join(err, os.Remove(path))
		}
		return Outcome{}, err
	}
	out := Outcome{
		Class: store.StepOK, Carried: true, Facts: l.Outcome.Facts,
		Detail: "reused from run " + text.RunID(p.Parent.Run) + ": " + l.Outcome.Detail,
	}
	return out, nil
}

// carryOrDo reuses a step of the run's parent, or runs it again and logs why.
func (x *Executor) carryOrDo(ctx context.Context, p Plan, a Action, done []Outcome) (Outcome, error) {
	out, err := x.carry(ctx, p, a, done)
	var not *notCarriedError
	switch {
	case err == nil:
		return out, nil
	case !errors.As(err, &not):
		return failed(ctx, store.StepFailed, fmt.Errorf("%s: %w", p.Steps[a.Step].Name, err))
	}
	x.Log.Info("a step runs again", "run_id", p.Run, "step", title(p, a), "reason", not.why)
	out, err = x.doWork(ctx, p, a, done)
	out.Detail += " (ran again: " + not.why + ")"
	return out, err
}

// takeTrained copies the record of the parent's training items.
func (x *Executor) takeTrained(ctx context.Context, p Plan) error {
	known := true
	err := x.durably(ctx, func() error {
		return x.Store.Update(ctx, "trained on", func(t *store.Tx) error {
			b, err := t.Trained(p.Model, p.Parent.Run)
			if known = b != nil; err != nil || !known {
				return err
			}
			return t.PutTrained(p.Model, p.Run, b)
		})
	})
	if err == nil && !known {
		err = &notCarriedError{"the record of its training items no longer exists"}
	}
	return err
}

// takeFiles copies the wanted files, except those in have, which an earlier step has copied. It refuses a file whose
// content does not have the recorded hash. It returns the paths of the copies.
func takeFiles(from, to string, wanted, have []leftFile) (taken []string, err error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return nil, err
	}
	src, err := os.OpenRoot(from)
	if err != nil {
		return nil, &notCarriedError{err.Error()}
	}
	defer src.Close()
	dst, err := os.OpenRoot(to)
	if err != nil {
		return nil, err
	}
	defer dst.Close()
	var size int64
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(f leftFile) bool {
		return slices.ContainsFunc(have, func(h leftFile) bool { return h.File == f.File })
	})
	for _, f := range wanted {
		size += f.Bytes
	}
	if free, err := files.FreeSpace(to); err == nil && size > free {
		return nil, fmt.Errorf("the files to reuse need %s, but %s has only %s free: %w", text.Bytes(size), to, text.Bytes(free),
			unix.ENOSPC)
	}
	for _, f := range wanted {
		if err := takeFile(src, dst, f.File); err != nil {
			return taken, err
		}
		taken = append(taken, filepath.Join(to, filepath.FromSlash(f.Path)))
	}
	return taken, nil
}

func takeFile(src, dst *os.Root, f File) error {
	name := filepath.FromSlash(f.Path)
	info, err := src.Lstat(name)
	if err != nil {
		return &notCarriedError{err.Error()}
	}
	if !info.Mode().IsRegular() || info.Size() != f.Bytes {
		return &notCarriedError{f.Path + " was changed after that run"}
	}
	in, err := files.OpenRegular(src, name, info)
	if err != nil {
		return &notCarriedError{err.Error()}
	}
	defer in.Close()
	if err := dst.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	h := sha256.New()
	if err := files.WriteInto(dst, name, 0o644, io.TeeReader(in, h)); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return errors.Join(&notCarriedError{f.Path + " was changed after that run"}, dst.Remove(name))
	}
	return nil
}
