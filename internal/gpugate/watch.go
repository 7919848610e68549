package gpugate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
)

// gpuWatch watches one step's device.
type gpuWatch struct {
	gate   *Gate
	of     actions.GPUWatch
	config gpu.Config
	log    *slog.Logger
	device gpu.Device

	mu   sync.Mutex
	said []string // findings; guarded by mu
}

// Watch implements actions.GPU.
func (g *Gate) Watch(ctx context.Context, of actions.GPUWatch) (end func(succeeded bool) actions.GPUUse) {
	w := &gpuWatch{
		gate: g, of: of, device: g.granted(of.Device),
		log: g.o.Log.With("model", of.Model, "run_id", of.Run, "step", of.Step, "gpu", of.Device),
	}
	if m := g.o.File().Models[of.Model]; m != nil && m.GPU != nil {
		w.config = *m.GPU
	}
	if len(of.Freed) > 0 {
		g.lend(of.Run, of.Freed) // needed if an earlier process has freed the GPU
	}
	if of.Device == "" {
		unguard := w.guard(ctx, false)
		return func(bool) actions.GPUUse {
			unguard()
			return actions.GPUUse{Text: w.summary(gpu.Usage{})}
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	xids := make(chan gpu.Xid)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		w.follow(ctx, xids)
	}()
	var usage gpu.Usage
	done := make(chan struct{})
	go func() {
		defer close(done)
		watcher := gpu.Watcher{
			Inventory: g.probe, Config: w.config, Device: w.device, Xids: xids,
			Mine: gpu.Owned(nil, runner.AttemptVar+"="+of.Attempt),
		}
		usage = watcher.Run(ctx, func(f gpu.Finding) { w.found(ctx, f) })
	}()
	unguard := w.guard(ctx, true)
	return func(succeeded bool) actions.GPUUse {
		stop(errStepOver)
		unguard()
		<-done
		<-followed
		w.keep(usage, succeeded)
		use := actions.GPUUse{Text: w.summary(usage)}
		if usage.Busy > 0 {
			use.Idle = &usage.Idle
		}
		return use
	}
}

// guard checks the things that the step's run has stopped, until the returned function is called.
func (w *gpuWatch) guard(ctx context.Context, models bool) (end func()) {
	found := func(text string) { w.returned(ctx, text) }
	return w.gate.guarded(ctx, w.of.GPUStep, models, found, func(why *actions.BlockedError) {
		w.returned(ctx, why.Reason)
		w.of.Stop(why)
	})
}

var errStepOver = errors.New("the step is over")

// follow sends the device's errors on the channel. If they cannot be read, it logs that.
func (w *gpuWatch) follow(ctx context.Context, into chan<- gpu.Xid) {
	uuid := w.device.UUID
	if w.device.Parent != "" {
		uuid = w.device.Parent // errors are reported for the whole card
	}
	if err := w.gate.xids.Follow(ctx, uuid, into); err != nil && ctx.Err() == nil {
		w.log.Info("errors of the gpu (xid) cannot be read", "err", err)
	}
}

// found logs a finding, publishes its event, and stores it with the run. If the finding is an intruder and on_intruder
// is abort, it ends the step.
func (w *gpuWatch) found(ctx context.Context, f gpu.Finding) {
	said := w.say(f.Text)
	abort := f.Kind == gpu.FoundIntruder && w.config.OnIntruder == gpu.Abort
	w.log.Warn("gpu contended", "kind", f.Kind, "detail", f.Text)
	if err := w.gate.tell(ctx, notify.GPUContended, w.of.GPUStep, foundData(w.of.GPUStep, f, abort)); err != nil &&
		ctx.Err() == nil {
		w.log.Error("cannot publish gpu.contended", "err", err)
	}
	w.of.Found(said)
	if abort {
		w.of.Stop(
			&actions.BlockedError{Reason: f.Text + "; the step was stopped because gpu.on_intruder is abort", Why: policy.ReasonGPUHeld},
		)
	}
}

// say stores the text of a finding and returns the last findings as a text for people.
func (w *gpuWatch) say(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
	return strings.Join(w.said[max(0, len(w.said)-3):], "; ")
}

// returned reports that a stopped thing is running again.
func (w *gpuWatch) returned(ctx context.Context, text string) {
	w.log.Warn("gpu contended", "kind", gpu.FoundReturned, "detail", text)
	data := notify.GPUFound{
		Run: w.of.Run, Step: w.of.Step, GPU: w.device.UUID, Kind: string(gpu.FoundReturned), Reason: text,
	}
	if err := w.gate.tell(ctx, notify.GPUContended, w.of.GPUStep, data); err != nil && ctx.Err() == nil {
		w.log.Error("cannot publish gpu.contended", "err", err)
	}
	w.of.Found(w.say(text))
}

func foundData(s actions.GPUStep, f gpu.Finding, abort bool) notify.GPUFound {
	data := notify.GPUFound{
		Run: s.Run, Step: s.Step, GPU: f.UUID, Kind: string(f.Kind),
		Memory: f.Size.Bytes(), Xid: int(f.Xid), Abort: abort, Reason: f.Text,
	}
	if f.Kind == gpu.FoundXid {
		data.Cause = string(f.Xid.Cause())
	}
	if f.Process != nil {
		h := holderData(*f.Process)
		data.Holder = &h
	}
	return data
}

// keep records the memory peak of a successful step. It ignores a failed step, which may have needed more memory.
func (w *gpuWatch) keep(u gpu.Usage, succeeded bool) {
	if !succeeded || u.Peak.State != gpu.Known || u.Peak.Size == 0 {
		return
	}
	peak := gpu.Peak{Peak: u.Peak.Size, Free: u.Free, Device: w.device.Name, At: time.Now().UTC()}
	if err := w.gate.peaks.Record(w.of.Model, w.of.Step, peak); err != nil {
		w.log.Warn("cannot record the gpu peak", "err", err)
	}
}

// summary describes how the step used its device, and which other programs were found there.
func (w *gpuWatch) summary(u gpu.Usage) string {
	var list []string
	if u.Peak.State == gpu.Known && u.Peak.Size > 0 {
		list = append(list, "at most "+gpu.Amount(u.Peak.Size)+" of GPU memory")
	}
	if u.Busy > 0 && u.Idle > 0 {
		list = append(list, fmt.Sprintf("GPU idle %.0f%% of the time", 100*u.Idle))
	}
	list = append(list, w.said[:min(3, len(w.said))]...)
	if more := len(w.said) - 3; more > 0 {
		list = append(list, text.Plural(more, "more finding"))
	}
	return strings.Join(list, "; ")
}
