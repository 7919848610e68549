package demo

import (
	"fmt"
	"slices"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// Result describes what happened in a demo, with all figures.
type Result struct {
	OK             bool     `json:"ok"`
	Seconds        float64  `json:"seconds"`
	Items          int      `json:"items"`
	LabelChanges   int64    `json:"label_changes"` // changes that people made
	Counted        int64    `json:"label_changes_counted"`
	Requests       int64    `json:"requests"`
	FailedRequests int64    `json:"failed_requests"`
	Runs           []Run    `json:"runs"`
	Events         []Event  `json:"events"`
	Problems       []string `json:"problems,omitempty"`
}

// Run is one run's outcome.
type Run struct {
	ID       string         `json:"id"`
	Outcome  policy.Outcome `json:"outcome"`
	Reason   string         `json:"reason"`
	Accuracy *Accuracy      `json:"accuracy,omitempty"`
	Seconds  float64        `json:"seconds"`
}

// Accuracy contains the accuracies of champion and candidate on the same held-out items, as fractions.
type Accuracy struct {
	Before *float64 `json:"before"` // nil if no release was deployed
	After  float64  `json:"after"`
	N      int      `json:"n"`
	Low    float64  `json:"low"`
	High   float64  `json:"high"`
}

// Event is one event as the subscriber received it.
type Event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func (r *Result) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// outcomes are the expected outcomes of the runs.
var outcomes = []policy.Outcome{policy.OutcomePromoted, policy.OutcomePromoted, policy.OutcomeRejected, policy.OutcomeRolledBack}

// judge collects the runs and events, and adds a problem for each difference from what the scenario expects.
func (r *Result) judge(runs []status.Run, events []notify.Event) {
	for _, run := range slices.Backward(runs) { // newest first
		out := Run{ID: run.ID, Outcome: run.Outcome, Reason: run.Reason, Seconds: run.Took(run.Ended).Seconds()}
		if c := run.Accuracy; c != nil {
			out.Accuracy = &Accuracy{Before: c.Before, After: c.After, N: c.N, Low: c.Low, High: c.High}
		}
		r.Runs = append(r.Runs, out)
	}
	kinds := map[notify.Kind]int{}
	for _, e := range events {
		kinds[e.Kind]++
		r.Events = append(r.Events, Event{Type: notify.Type(e.Kind), ID: e.ID})
		if e.Kind == notify.LabelsReceived {
			if l, err := notify.Unpack[notify.Labels](e); err == nil {
				r.Counted += int64(l.Changes)
			}
		}
	}
	r.Counted -= int64(r.Items) // the first read of the table counts each item
	for i, want := range outcomes {
		switch {
		case i >= len(r.Runs):
			r.problem("run %d did not happen: expected %s", i+1, want)
		case r.Runs[i].Outcome != want:
			r.problem("run %d ended as %s, expected %s: %s", i+1, r.Runs[i].Outcome, want, r.Runs[i].Reason)
		}
	}
	if len(r.Runs) > len(outcomes) {
		r.problem("%d runs happened, expected %d", len(r.Runs), len(outcomes))
	}
	for kind, want := range map[notify.Kind]int{notify.ModelDeployed: 2, notify.ModelRejected: 1, notify.ModelRolledBack: 1} {
		if kinds[kind] != want {
			r.problem("the subscriber received %s %d times, expected %d", kind, kinds[kind], want)
		}
	}
	if r.Counted != r.LabelChanges {
		r.problem("%d label changes were made, %d were counted", r.LabelChanges, r.Counted)
	}
	if r.FailedRequests > 0 {
		r.problem("%d of %d requests to /classify failed", r.FailedRequests, r.Requests)
	}
	if r.Requests == 0 {
		r.problem("the classifier got no requests")
	}
	r.OK = len(r.Problems) == 0
}
