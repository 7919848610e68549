package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// cmdRecord writes a history into the state directory, as a daemon would: record news 2026-11-02T00:00:00Z 6h 0 0 30r
// 0. Each number is an evaluation of 300 answers. At the promotion 27 of them were wrong; corrections have since made
// as many more wrong as the number says. With a w after the number, a retrain is due and waits. With an r, a run
// starts, which takes an hour, half of it on the GPU; its release is promoted and evaluated. With a u, such a run is
// urgent. With an f, a run fails in its export after half an hour, and five minutes later such a run starts.
func cmdRecord(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: record MODEL START EVERY WRONG…")
	}
	at, err := time.Parse(time.RFC3339, args[1])
	ts.Check(err)
	every, err := time.ParseDuration(args[2])
	ts.Check(err)
	s, err := store.Open(of(ts).t.Context(), ts.Getenv("STATE"))
	ts.Check(err)
	defer s.Close()
	p := past{ts: ts, s: s, model: args[0], promoted: at.Add(-24 * time.Hour)}
	for _, word := range args[3:] {
		number := strings.TrimRight(word, "rwuf")
		wrong, err := strconv.Atoi(number)
		ts.Check(err)
		kind, starts := strings.TrimPrefix(word, number), at
		if kind == "f" {
			p.evaluation(at, wrong, kind)
			starts, kind = at.Add(35*time.Minute), "r"
		}
		p.evaluation(starts, wrong, kind)
		if kind == "r" || kind == "u" {
			p.promoted, p.release = starts.Add(time.Hour), p.release+1
			p.evaluation(p.promoted, 0, "")
		}
		at = at.Add(every)
	}
}

// past is the history to write.
type past struct {
	ts       *testscript.TestScript
	s        *store.Store
	model    string
	promoted time.Time
	release  int
	seq      int64
}

// evaluation writes one report with its decision, and the run of the kind r, u or f that it started.
func (p *past) evaluation(at time.Time, wrong int, kind string) {
	p.seq++
	r := pastReport(p.model, at, p.promoted, fmt.Sprintf("sha256:%064d", p.release), wrong, p.seq)
	d := policy.Decision{
		At: at, Model: p.model, Verdict: policy.VerdictHold,
		Text: fmt.Sprintf("decided with %d wrong", wrong),
	}
	if kind != "" {
		d.Verdict, d.Urgent = policy.VerdictRetrain, kind == "u"
	}
	p.ts.Check(p.s.Update(of(p.ts).t.Context(), "past", func(t *store.Tx) error {
		if err := t.AddReport(store.Report{
			Model: p.model, At: at, Seq: r.Seq, State: string(r.State), Accuracy: r.Accuracy,
			Body: encode(r),
		}); err != nil {
			return err
		}
		if _, err := t.AddDecision(store.Decision{
			Model: p.model, At: at, Verdict: string(d.Verdict),
			Body: encode(d),
		}); err != nil || kind == "" || kind == "w" {
			return err
		}
		return pastRun(t, p.model, fmt.Sprintf("01past%020d", p.seq), at, d, kind == "f")
	}))
}

func pastReport(model string, at, promoted time.Time, release string, wrong int, seq int64) drift.Report {
	b, c := wrong, 0
	r := drift.Report{
		Model: model, At: at, Release: release, Target: "category", State: drift.StateOK, Seq: seq,
		HeldOut: 300, Scored: 300, Figures: drift.Figures{Correct: 273 - wrong, Majority: 0.4},
		Baseline: &drift.Baseline{Accuracy: 0.91, MacroF1: 0.9, N: 300, Correct: 273, At: promoted},
		Relabels: drift.Relabels{RightToWrong: b, WrongToRight: c, P: stats.SignTest(b, c)},
		Labels:   drift.Labels{Items: 2000, Changed: 4 * wrong, Share: float64(4*wrong) / 2000},
	}
	r.Accuracy = float64(r.Correct) / 300
	r.Low, r.High = stats.Wilson(r.Correct, 300)
	r.Drop = 100 * (r.Baseline.Accuracy - r.Accuracy)
	r.MacroF1 = r.Accuracy
	return r
}

func pastRun(t *store.Tx, model, id string, at time.Time, d policy.Decision, fails bool) error {
	if _, err := t.AddDecision(store.Decision{
		Model: model, At: at, Verdict: string(d.Verdict), Run: id,
		Body: encode(d),
	}); err != nil {
		return err
	}
	plan := actions.Plan{
		Run: id, Model: model, Pipeline: "default",
		Steps: []actions.Step{{Name: "export", Do: actions.DoExport}, {Name: "train", GPU: true}},
	}
	if _, err := t.AddRun(store.Run{
		ID: id, Model: model, Pipeline: "default", Trigger: d.Text, State: store.RunQueued,
		Plan: encode(plan), Created: at,
	}); err != nil {
		return err
	}
	if _, err := t.StartRun(id, at); err != nil {
		return err
	}
	steps, outcome := []string{"export", "train"}, policy.OutcomePromoted
	if fails {
		steps, outcome = steps[:1], policy.OutcomeFailed
	}
	for i, name := range steps {
		begin := at.Add(time.Duration(i) * 30 * time.Minute)
		if err := t.PutStep(store.Step{
			Run: id, Ord: i, Name: name, Attempt: 1, Kind: "do", State: store.StepOK,
			Started: begin, Ended: begin.Add(30 * time.Minute),
		}); err != nil {
			return err
		}
	}
	_, err := t.EndRun(id, string(outcome), "it "+string(outcome), "{}", at.Add(time.Duration(len(steps))*30*time.Minute))
	return err
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
