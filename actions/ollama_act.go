package actions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// Models unloads and reloads models of an Ollama server for steps, and lists the unloaded ones in the host's ledger.
// The daemon implements it.
type Models interface {
	// Unload unloads the models that r names, after it has recorded them in the ledger, and waits until server and
	// driver confirm that they are unloaded. It is idempotent, and returns what it did.
	Unload(ctx context.Context, s GPUStep, r Room) (string, error)
	// Reload waits for the run's turn on the GPU, and loads those models of m that the run has unloaded, with their
	// former keep-alive. It returns what it loaded, "" for nothing.
	Reload(ctx context.Context, s GPUStep, m gpu.StopConfig) (string, error)
}

// ollama unloads or loads a model for a step, or undoes the loading.
func (x *Executor) ollama(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if x.Models == nil {
		return Outcome{Class: store.StepFailed, Detail: "models cannot be loaded and unloaded here"}, nil
	}
	if a.Kind == ActUndo {
		limited, stop := context.WithTimeout(ctx, step.Timeout)
		defer stop()
		return outcomeOf(ctx, step, func() (string, error) { return x.loadBack(limited, p, step) })
	}
	ctx, stop := x.bounded(ctx, p, step)
	defer stop()
	if !step.Act.Ollama.Load {
		return outcomeOf(ctx, step, func() (string, error) { return x.Models.Unload(ctx, gpuStep(p, step), p.toUnload(step)) })
	}
	return outcomeOf(ctx, step, func() (string, error) {
		came, err := x.Models.Reload(ctx, gpuStep(p, step), step.Act.Ollama.named())
		if err != nil || came != "" {
			return came, err
		}
		if step.Act.Ollama.Model == gpu.AllModels {
			return "nothing to load: the run has unloaded no model", nil
		}
		return x.load(ctx, p, step)
	})
}

// outcomeOf calls work and returns the step's outcome. work returns a description of what it did.
func outcomeOf(ctx context.Context, step Step, work func() (string, error)) (Outcome, error) {
	detail, err := work()
	var blocked *BlockedError
	switch {
	case err == nil:
		return Outcome{Class: store.StepOK, Detail: detail}, nil
	case errors.As(err, &blocked):
		return Outcome{Class: store.StepBlocked, Detail: blocked.Reason, Why: blocked.Why}, nil
	}
	out, err := failed(ctx, store.StepFailed, fmt.Errorf("%s: %w", step.Name, err))
	return ended(step, out, err)
}

// toUnload returns the models that a step unloads until the end of the run.
func (p Plan) toUnload(step Step) Room {
	return Room{Stop: []gpu.StopConfig{step.Act.Ollama.named()}, RunDir: p.RunDir, UntilEnd: true}
}

// unloadAgain unloads once more the models that earlier steps have unloaded, because a client or a start of the daemon
// may have loaded them again.
func (x *Executor) unloadAgain(ctx context.Context, p Plan, before int) error {
	for _, i := range p.unloaded(before) {
		if x.Models == nil {
			break
		}
		if _, err := x.Models.Unload(ctx, gpuStep(p, p.Steps[i]), p.toUnload(p.Steps[i])); err != nil {
			return err
		}
	}
	return nil
}

const (
	wasOff = "off"
	// memoryPoll is the pause between two checks of a server's loaded models.
	memoryPoll = 250 * time.Millisecond
)

// load loads a model with the server's default keep-alive. A file of the run records whether the model was loaded
// before.
func (x *Executor) load(ctx context.Context, p Plan, step Step) (string, error) {
	m := step.Act.Ollama
	server, err := ollama.New(m.URL)
	if err != nil {
		return "", err
	}
	defer server.Close()
	r, err := loadedAs(ctx, server, m.Model)
	if err != nil {
		return "", err
	}
	if r == nil {
		if err := writeBefore(p.before(step), wasOff); err != nil {
			return "", err
		}
	}
	if err := server.Warm(ctx, m.Model); err != nil {
		return "", err
	}
	if r, err = loadedAs(ctx, server, m.Model); err != nil {
		return "", err
	}
	if r == nil {
		return "", fmt.Errorf("%s is not loaded although the server reported success: see the log of the Ollama server", m.Model)
	}
	text := m.Model + " is loaded"
	if r.Size > 0 {
		text += fmt.Sprintf(", %d%% of it on the GPU", 100*r.VRAM/r.Size)
	}
	return text, nil
}

// loadBack undoes load: it unloads the model, unless it was loaded before the step.
func (x *Executor) loadBack(ctx context.Context, p Plan, step Step) (string, error) {
	m := step.Act.Ollama
	was, err := os.ReadFile(p.before(step))
	if errors.Is(err, fs.ErrNotExist) || err == nil && string(was) != wasOff {
		return m.Model + " was already loaded before the step, so it stays loaded", nil
	}
	if err != nil {
		return "", err
	}
	server, err := ollama.New(m.URL)
	if err != nil {
		return "", err
	}
	defer server.Close()
	tick := time.NewTicker(memoryPoll)
	defer tick.Stop()
	for {
		r, err := loadedAs(ctx, server, m.Model)
		if r == nil && err == nil || errors.Is(err, ollama.ErrAway) {
			return m.Model + " is unloaded again", nil
		}
		if err == nil && r.Expires.After(time.Now()) {
			err = server.Unload(ctx, m.Model)
		}
		if err != nil {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the server does not unload %s, because a client keeps sending requests to it", m.Model)
		case <-tick.C:
		}
	}
}

// loadedAs returns the server's entry for a loaded model, nil if the model is not loaded.
func loadedAs(ctx context.Context, server *ollama.Client, model string) (*ollama.Running, error) {
	running, err := server.Running(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(running, func(r ollama.Running) bool { return ollama.Tagged(r.Name) == ollama.Tagged(model) })
	if i < 0 {
		return nil, nil
	}
	return &running[i], nil
}

// before returns the path of the file that records the state before a step.
func (p Plan) before(step Step) string { return filepath.Join(p.RunDir, "steps", step.Name, "before") }

// writeBefore records the state before a step. It keeps an existing record, because only the first attempt has seen the
// original state.
func writeBefore(path, state string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, []byte(state), 0o600)
}
