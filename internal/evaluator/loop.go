package evaluator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// Options are the dependencies of a Loop.
type Options struct {
	Store *store.Store
	Runs  Runs
	// Labels is the intake of the model's labels; Changes fires after some have changed.
	Labels  Labels
	Changes *watch.Coalescer
	Host    string // name of this host, for events
	Self    string // path of this binary, for steps that run it
	// Beat reports progress to the watchdog; the loop calls it at least every BeatEvery.
	Beat      func()
	BeatEvery time.Duration
	Log       *slog.Logger
	// Barrier reports when the classifier must not be queried; nil for never.
	Barrier Barrier
}

// Barrier prevents requests to the classifier of a model while a run has stopped or unloaded it. A request could load
// a language model into GPU memory that a run has freed for its training. And a service that a run has stopped must
// not count as unreachable.
type Barrier interface {
	// Barred returns why the classifier of a model must not be queried now, or "" if it may be. It does not block.
	Barred(model string) (why string)
}

// Runs starts runs. Submitting a plan that was submitted before has no effect.
type Runs interface {
	Submit(plan actions.Plan) error
}

// Labels is the intake of a model's labels.
type Labels interface {
	// Reading reports whether a source is still in its first read, without an error so far.
	Reading() bool
	// CheckTestSet reads the user's own test set again if its file has changed.
	CheckTestSet()
	// TakeRenamed reports whether items were renamed since the last call.
	TakeRenamed() bool
}

// Loop evaluates one model, in one goroutine, whenever an event wakes it. What must survive a restart is in the store,
// from which the monitor and the caches are rebuilt.
type Loop struct {
	name     string
	o        Options
	log      *slog.Logger
	requests requests

	// The following fields up to mu are owned by the goroutine of Run.
	rules     *Rules
	scorer    *serving.Scorer
	monitor   *drift.Monitor        // nil before it is built, and after an error
	relabels  *drift.RelabelHistory // the relabels since the training
	after     int64                 // last change in monitor and relabels
	last      *policy.Decision      // the last decision that was recorded, possibly by an earlier process
	before    *policy.Decision      // the last decision, recorded or not: the next one needs its conditions
	shadow    *policy.Shadow        // state of the shadow policy; nil before it is read
	orders    string                // stored requests, holds and pauses at the last decision (ordersOf)
	suspected suspected             // result of the last check for suspicious relabels
	planned   time.Time             // time of the next evaluation by evaluate.schedule

	serving        *Serving   // last known state of the service; nil before the first check, and without a champion
	serviceTrouble string     // error of the last check of the service
	healthAsked    time.Time  // when recheck last queried the service's health
	serviceWarned  time.Time  // when an error of scoring or adopting was last logged; zero after a success
	notAsked       string     // why the classifier must not be queried now; "" if it may be
	rand           *rand.Rand // draws samples

	mu   sync.Mutex // guards view
	view View
}

// New returns the loop of a model.
func New(name string, r *Rules, o Options) *Loop {
	l := &Loop{
		name: name, o: o, log: o.Log.With("model", name), requests: newRequests(), rules: r,
		rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), //nolint:gosec // a sample of texts is no secret
	}
	l.showRules()
	return l
}

// Name returns the model's name.
func (l *Loop) Name() string { return l.name }

// Run runs the loop until ctx ends and returns ctx's cause. If an evaluation fails, Run reports the error and retries.
func (l *Loop) Run(ctx context.Context) error {
	l.scorer = serving.NewScorer(l.rules.Model.Serving)
	defer func() { l.scorer.Close() }()
	tick := time.NewTicker(l.o.BeatEvery)
	defer tick.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	force := true // the first evaluation after a start is always recorded
	l.planned = l.rules.Policy.Scheduled(time.Now())
	for {
		l.o.Beat()
		audit := false
		var asked *order
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			l.o.Labels.CheckTestSet()
			continue
		case <-due.C:
		case <-l.o.Changes.C():
		case <-l.requests.evaluate:
			force = true
		case <-l.requests.audit:
			audit = true
		case o := <-l.requests.orders:
			asked, force = &o, true
		case <-l.requests.runEnded:
			l.monitor = nil
			force = true
		case <-l.requests.rules:
		}
		// Apply a waiting reload before the request: select takes waiting requests in any order, and a request that was made
		// after a reload must be carried out under its configuration.
		force = l.applyReload() || force
		force = l.scheduled(ctx, time.Now()) || force
		reply := l.carryOut(ctx, asked)
		if errors.Is(reply.err, errOutdated) && l.applyReload() {
			reply, force = l.carryOut(ctx, asked), true
		}
		next, err := l.evaluate(ctx, force)
		if err == nil && audit {
			err = l.audit(ctx)
		}
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.complain(err)
		if err != nil {
			next = time.Now().Add(retryAfter)
		} else {
			force = false
		}
		if asked != nil {
			if r := l.View().Report; r != nil {
				reply.report = *r
			}
			if reply.err == nil && err != nil {
				reply.err = fmt.Errorf("the evaluation failed: %w", err)
			}
			asked.reply <- reply
		}
		l.setView(func(v *View) { v.Next = next })
		due.Reset(max(time.Until(next), 10*time.Millisecond))
	}
}

// retryAfter is the pause before a failed evaluation is retried.
const retryAfter = 10 * time.Second

// barred reports whether the classifier must not be queried now, and records why.
func (l *Loop) barred() bool {
	why := ""
	if l.o.Barrier != nil {
		why = l.o.Barrier.Barred(l.name)
	}
	if why != l.notAsked {
		l.notAsked = why
		l.setView(func(v *View) { v.Barred = why })
		if why != "" {
			l.log.Info("the classifier must not be queried for now", "reason", why)
		} else {
			l.log.Info("the classifier may be queried again")
		}
	}
	return why != ""
}

// applyReload applies a configuration that waits, and reports whether there was one.
func (l *Loop) applyReload() bool {
	r := l.requests.next.Swap(nil)
	if r != nil {
		l.adopt(r)
	}
	return r != nil
}

// adopt applies a new configuration.
func (l *Loop) adopt(r *Rules) {
	l.rules = r
	e := r.Model.Policy.Evaluate
	l.o.Changes.Set(e.Debounce.D(), e.MaxWait.D(), e.AfterChanges)
	l.scorer.Close()
	l.scorer = serving.NewScorer(r.Model.Serving)
	l.monitor = nil
	l.planned = r.Policy.Scheduled(time.Now())
	l.showRules()
}

func (l *Loop) showRules() {
	l.setView(func(v *View) { v.Floor, v.Rules = floor(l.rules.Model.Policy), l.rules })
}

func (l *Loop) modelDir() string { return filepath.Join(l.o.Store.Dir(), "models", l.name) }
