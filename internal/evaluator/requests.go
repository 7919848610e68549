package evaluator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
)

// requests contains the channels that wake the loop. All except orders have a buffer of one, because one pending
// request is enough for all later ones.
type requests struct {
	evaluate chan struct{}
	audit    chan struct{}
	runEnded chan struct{}
	rules    chan struct{}         // wakes the loop when next has a configuration
	next     atomic.Pointer[Rules] // a configuration that the loop has not applied yet
	orders   chan order            // carried out by the loop, which answers
}

// order is a request whose sender waits for the answer.
type order struct {
	do    orderKind
	by    string
	run   string          // the run to repeat, for orderRetry
	from  string          // the step to start at, "" for the one that failed
	reply chan orderReply // of size 1
}

// orderKind is the kind of an order.
type orderKind int

const (
	orderEvaluate orderKind = iota // evaluate, and check by a sample of texts which release serves
	orderAdopt                     // adopt the serving release as champion
	orderRedeploy                  // redeploy the champion
	orderRetry                     // repeat a run
)

type orderReply struct {
	report drift.Report
	run    string // id of the run that was started
	text   string // what was done, in one sentence
	err    error
}

func newRequests() requests {
	return requests{
		evaluate: make(chan struct{}, 1), audit: make(chan struct{}, 1), runEnded: make(chan struct{}, 1),
		rules: make(chan struct{}, 1), orders: make(chan order),
	}
}

// wake sends without blocking.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Evaluate makes the loop evaluate soon.
func (l *Loop) Evaluate() { wake(l.requests.evaluate) }

// Audit makes the loop recompute all figures and compare them.
func (l *Loop) Audit() { wake(l.requests.audit) }

// RunEnded makes the loop process the result of a run of its model.
func (l *Loop) RunEnded() { wake(l.requests.runEnded) }

// SetRules gives the loop a new configuration. It also replaces one that the loop has not applied yet. After SetRules
// returns, no run begins under the former configuration, except one whose transaction is in progress. A caller that
// writes to the store afterwards waits for that transaction.
func (l *Loop) SetRules(r *Rules) {
	l.requests.next.Store(r)
	wake(l.requests.rules)
}

// rulesReplaced reports whether a newer configuration waits to be applied.
func (l *Loop) rulesReplaced() bool { return l.requests.next.Load() != nil }

// EvaluateNow makes the loop evaluate and check which release serves, and returns the report.
func (l *Loop) EvaluateNow(ctx context.Context) (drift.Report, error) {
	r, err := l.order(ctx, order{do: orderEvaluate})
	return r.report, err
}

// Adopt adopts the serving release as champion. It returns a sentence about the result.
func (l *Loop) Adopt(ctx context.Context, by string) (string, error) {
	r, err := l.order(ctx, order{do: orderAdopt, by: by})
	return r.text, err
}

// Redeploy starts a run that redeploys the champion. It returns a sentence about the result.
func (l *Loop) Redeploy(ctx context.Context, by string) (string, error) {
	r, err := l.order(ctx, order{do: orderRedeploy, by: by})
	return r.text, err
}

// Retry starts a run that repeats another run from a step on. If `from` is "", it repeats the run from the step that
// failed. It returns the new run's id, and a sentence about the result.
func (l *Loop) Retry(ctx context.Context, run, from, by string) (id, text string, err error) {
	r, err := l.order(ctx, order{do: orderRetry, by: by, run: run, from: from})
	return r.run, r.text, err
}

func (l *Loop) order(ctx context.Context, o order) (orderReply, error) {
	o.reply = make(chan orderReply, 1)
	select {
	case l.requests.orders <- o:
	case <-ctx.Done():
		return orderReply{}, context.Cause(ctx)
	}
	select {
	case r := <-o.reply:
		return r, r.err
	case <-ctx.Done():
		return orderReply{}, context.Cause(ctx)
	}
}

// carryOut performs the part of an order that precedes the evaluation.
func (l *Loop) carryOut(ctx context.Context, o *order) (r orderReply) {
	if o == nil || o.do == orderEvaluate {
		return r
	}
	if r.err = l.catchUp(ctx, &arrivals{}); r.err != nil { // the evaluation that follows counts the changes
		return r
	}
	switch o.do {
	case orderAdopt:
		r.text, r.err = l.adoptAsked(ctx, o.by)
	case orderRedeploy:
		r.text, r.err = l.redeploy(ctx, o.by)
	case orderRetry:
		r.run, r.text, r.err = l.retry(ctx, o.run, o.from, o.by)
	}
	return r
}

// Demand is a requested retrain, stored until its run is created.
type Demand struct {
	By       string    `json:"by"`
	Reason   string    `json:"reason"`
	Pipeline string    `json:"pipeline,omitempty"`
	At       time.Time `json:"at"`
}

// Accepted is the stored answer to a request whose run does not exist yet.
const Accepted = "the request is stored: the retrain starts with the next evaluation"

// Demand stores a request for a retrain, so that the request survives a crash, and wakes the loop. It returns a
// *HeldError if the model is held. id is the sender's id of the request, if any; a second request with the same id has
// no effect.
func (l *Loop) Demand(ctx context.Context, d Demand, id string) error {
	err := l.o.Store.Update(ctx, "forced", func(t *store.Tx) error {
		if id != "" {
			if _, err := t.RequestOf(id); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			answer := mustJSON(map[string]string{"text": Accepted})
			if err := t.AddRequest(store.Request{ID: id, Verb: "trigger", Model: l.name, Answer: json.RawMessage(answer)},
				d.At); err != nil {
				return err
			}
		}
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		if err := CheckHold(l.name, row); err != nil {
			return err
		}
		return t.SetModel(l.name, store.Force, mustJSON(d))
	})
	if err != nil {
		return fmt.Errorf("force %s: %w", l.name, err)
	}
	l.log.Info("a retrain was requested", "by", d.By, "reason", d.Reason)
	l.Evaluate()
	return nil
}
