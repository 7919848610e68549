package actions

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// Champion is what a model's row stores about the deployed release: the figures with which it was promoted, and how
// they were measured.
type Champion struct {
	Baseline drift.Baseline `json:"baseline"`
	Seq      int64          `json:"seq"` // last label change in the baseline
	// Probation is the release's probation, running or ended; nil if it was promoted without one.
	Probation *drift.Probation `json:"probation,omitempty"`
	// Runtime is the program, with its version, that ran the model when the figures were measured; "" if it is part of the
	// release.
	Runtime string `json:"runtime,omitempty"`
	// Asked is the digest of a language model's prompt, schema and options when the figures were measured; "" for other
	// models.
	Asked string `json:"asked,omitempty"`
	// Gate is the target that gated in the run that trained the release, or "" if it is unknown or there was no such run:
	// the stored mix of its training labels is of this target.
	Gate string `json:"gate,omitempty"`
	// Adopted is set only for a release that was in service before retraind first deployed.
	Adopted *Adopted `json:"adopted,omitempty"`
	// Former is the state of the replaced release, kept as long as a rollback to it is possible.
	Former *Champion `json:"former,omitempty"`
}

// ReadChampion parses the stored state; "" gives the zero value.
func ReadChampion(stored string) (Champion, error) {
	var c Champion
	if stored == "" {
		return c, nil
	}
	return c, json.Unmarshal([]byte(stored), &c)
}

// Summary is a run's result as stored and shown.
type Summary struct {
	Result  Result       `json:"result"`
	Release string       `json:"release,omitempty"` // the candidate, or the release that was rolled back or deployed again
	Serving string       `json:"serving,omitempty"` // the deployed release after the run
	Export  *ExportFacts `json:"export,omitempty"`
	Gate    *GateFacts   `json:"gate,omitempty"`
	Verify  *VerifyFacts `json:"verify,omitempty"`
	Undoes  string       `json:"undoes,omitempty"` // id of the run whose promotion was rolled back
	// Figures are the measurements of the run's steps.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Sizes are the bytes that each step wrote into the run's directories and the release, by step name.
	Sizes map[string]int64 `json:"sizes,omitempty"`
}

// finish stores a run's outcome, the champion, and the notifications, once and in one transaction.
func (x *Executor) finish(ctx context.Context, p Plan, a Action, done []Outcome, log *slog.Logger) error {
	sum := Summary{
		Result: a.Result, Serving: p.Champion, Export: exported(done), Gate: gated(done),
		Verify: verified(done), Figures: measured(done), Sizes: sizes(p, done),
	}
	if sum.Gate != nil {
		sum.Release = sum.Gate.Release
	}
	redeployed := p.Rollback != nil && p.Rollback.Redeploy
	if redeployed {
		sum.Release = p.Champion
	} else if p.Rollback != nil {
		sum.Release, sum.Undoes = p.Rollback.Release, p.Rollback.Run
		if !pointedBack(p, done) {
			sum.Serving = p.Rollback.Release
		}
	}
	promoted := a.Result.Outcome == policy.OutcomePromoted && !redeployed
	if promoted {
		sum.Serving = sum.Release
		sum.Result.Reason = gateReason(done)
		if a.Result.Owed != "" {
			sum.Result.Reason += "; " + a.Result.Owed
		}
	}
	if !promoted {
		if err := x.settle(ctx, p, log); err != nil {
			sum.Result.Reason += "; " + err.Error()
		}
	}
	var size int64
	if promoted {
		if r, err := ReadRelease(p.releaseDir()); err == nil {
			size = r.Bytes
		}
		_ = os.Remove(p.unsettled()) // there is none without compose
	}
	err := x.durably(ctx, func() error {
		return x.Store.Update(ctx, "run ends", func(t *store.Tx) error {
			first, err := t.EndRun(p.Run, string(sum.Result.Outcome), sum.Result.Reason, mustJSON(sum), now())
			if err != nil || !first {
				return err
			}
			if sum.Result.Hold {
				if err := t.SetModel(p.Model, store.Hold,
					mustJSON(map[string]string{"reason": sum.Result.Reason, "by": "run " + p.Run})); err != nil {
					return err
				}
				if err := x.notify(t, notify.ModelHeld, p.Model, p.Run,
					notify.Paused{By: "run " + p.Run, Reason: sum.Result.Reason}); err != nil {
					return err
				}
			}
			switch {
			case redeployed: // the champion stays; the checks of what serves start over
				err = t.SetModel(p.Model, store.Serving, "")
			case p.Rollback != nil:
				err = x.revert(t, p, sum, done)
			case promoted:
				err = x.promote(t, p, sum, size)
			default:
				err = x.refuse(t, p, sum, done)
			}
			if err != nil {
				return err
			}
			run, err := t.Run(p.Run)
			if err != nil {
				return err
			}
			return x.notify(t, notify.RunFinished, p.Model, p.Run,
				notify.Finished{
					Run: p.Run, Outcome: string(sum.Result.Outcome), Reason: sum.Result.Reason,
					Why: string(sum.Result.Why), Release: sum.Serving, Seconds: run.Ended.Sub(run.Started).Seconds(),
				})
		})
	})
	if err != nil {
		return err
	}
	faults.Point("finished")
	log.Info("run ended", "outcome", sum.Result.Outcome, "reason", sum.Result.Reason)
	if err := os.RemoveAll(p.workDir()); err != nil {
		log.Warn("the run's working directory cannot be removed", "err", err)
	}
	x.prune(ctx, p)
	if x.Ended != nil {
		x.Ended(p.Model)
	}
	return nil
}

func gateReason(done []Outcome) string {
	for i := len(done) - 1; i >= 0; i-- {
		if done[i].Facts.Gate != nil {
			return done[i].Detail
		}
	}
	return "all steps succeeded"
}

func (x *Executor) promote(t *store.Tx, p Plan, sum Summary, size int64) error {
	if sum.Release == p.Champion {
		return x.repaired(t, p, sum)
	}
	g := sum.Gate
	before, err := t.Model(p.Model)
	if err != nil {
		return err
	}
	former, err := ReadChampion(before.Baseline)
	if err != nil {
		return err
	}
	// A rollback goes back only one release, and the former release's probation is over.
	former.Former, former.Probation = nil, nil
	gate := p.Serving.List()[0].Name
	champion := Champion{
		Seq: g.Seq, Probation: p.probation(), Gate: gate,
		Baseline: drift.Baseline{
			Accuracy: g.Candidate.Accuracy, MacroF1: g.Candidate.MacroF1, N: g.N,
			Correct: g.Candidate.Correct, At: now(), Target: gate, Category: g.Missed,
			Dependence: drift.CarriedDependence(before.Monitor),
		},
	}
	if sum.Verify != nil {
		champion.Runtime = sum.Verify.Runtime
	}
	if o := p.Serving.Ollama; o != nil {
		champion.Asked = o.Asked()
	}
	if p.Champion != "" {
		champion.Former = &former
	}
	// The monitor's tests start again at the gate's snapshot: later changes are evidence about the new release.
	for field, value := range map[store.ModelField]any{
		store.Champion: sum.Release, store.Previous: p.Champion,
		store.Baseline: mustJSON(champion), store.Monitor: "",
	} {
		if err := t.SetModel(p.Model, field, value); err != nil {
			return err
		}
	}
	if before.Previous != "" && before.Previous != sum.Release {
		if err := t.SetReleaseState(p.Model, before.Previous, store.ReleaseRetired); err != nil {
			return err
		}
	}
	if p.Champion != "" {
		if err := t.SetReleaseState(p.Model, p.Champion, store.ReleasePrevious); err != nil {
			return err
		}
	}
	if err := t.SetReleaseState(p.Model, sum.Release, store.ReleaseChampion); err != nil {
		return err
	}
	return x.notify(t, notify.ModelDeployed, p.Model, p.Run, notify.Deployed{
		Model: p.Model, Release: sum.Release, Previous: p.Champion,
		Artifact: notify.Artifact{URI: "file://" + p.releaseDir(), SHA256: sum.Release, Size: size},
		Before:   metrics(g.Champion, g.N), After: metrics(&g.Candidate, g.N),
		LabelWatermark: exportSeq(sum.Export), Reason: p.Trigger, Run: p.Run,
	})
}

// refuse records that the run's candidate, if there was one, was not promoted. If the candidate was rejected or rolled
// back, it also publishes that.
func (x *Executor) refuse(t *store.Tx, p Plan, sum Summary, done []Outcome) error {
	if sum.Release == "" || sum.Release == p.Champion {
		return nil
	}
	state := store.ReleaseRejected
	if sum.Result.Outcome == policy.OutcomeRolledBack {
		state = store.ReleaseRolledBack
	}
	if err := t.SetReleaseState(p.Model, sum.Release, state); err != nil {
		return err
	}
	if sum.Result.Outcome == policy.OutcomeRolledBack {
		r, err := t.Release(p.Model, p.Champion)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return x.notify(t, notify.ModelRolledBack, p.Model, p.Run, notify.RolledBack{
			Model: p.Model, Release: p.Champion, Failed: sum.Release,
			Artifact: notify.Artifact{URI: "file://" + r.Path, SHA256: p.Champion}, Reason: sum.Result.Reason, Run: p.Run,
		})
	}
	if sum.Result.Outcome != policy.OutcomeRejected {
		return nil
	}
	return x.notify(t, notify.ModelRejected, p.Model, p.Run, notify.Rejected{
		Model: p.Model, Release: sum.Release, Champion: p.Champion, Before: metrics(sum.Gate.Champion, sum.Gate.N),
		After: metrics(&sum.Gate.Candidate, sum.Gate.N),
		Gates: []notify.Gate{verdict(*sum.Gate, done, sum.Result.Reason)}, Reason: sum.Result.Reason, Run: p.Run,
	})
}

// verdict returns the check that refused the candidate.
func verdict(g GateFacts, done []Outcome, why string) notify.Gate {
	out := notify.Gate{Name: cmp.Or(g.Decided, string(g.Gate)), Verdict: "fail", Detail: why}
	for _, o := range done {
		if o.Class == store.StepInconclusive {
			out.Verdict = "inconclusive"
		}
	}
	if len(g.Worse) > 0 {
		out.Name = "category_floor"
	}
	if g.Failing != "" {
		out.Name = "figures." + g.Failing
	}
	return out
}

func metrics(s *Score, n int) *notify.Metrics {
	if s == nil {
		return nil
	}
	return &notify.Metrics{Accuracy: s.Accuracy, Low: s.Low, High: s.High, MacroF1: s.MacroF1, N: n}
}

func exportSeq(e *ExportFacts) int64 {
	if e == nil {
		return 0
	}
	return e.Seq
}

// ReadSummary parses a stored run's result.
func ReadSummary(result string) (Summary, error) {
	var s Summary
	if result == "" {
		return s, nil
	}
	return s, json.Unmarshal([]byte(result), &s)
}
